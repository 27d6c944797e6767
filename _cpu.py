import random, time
from app.passwords import HashPool, _Watch
from app.argon2id import Argon2id, Parameters
from tests.prove.alike import auc
NEW, OLD = Parameters(19456,2), Parameters(8192,1)
pool=HashPool(threads=1, memory_kib=NEW.memory_kib, time_cost=NEW.time_cost); pool.use([OLD])
a=Argon2id(); new=a.hash("right secret",*NEW).encoded; old=a.hash("right secret",*OLD).encoded
kinds={"wrong":(new,"wrong",True),"unknown":(None,"wrong",True),"older wrong":(old,"wrong",True),"older disabled":(old,"right secret",False),"disabled":(new,"right secret",False)}
times={k:[] for k in kinds}
for n in range(700):
    for k in random.sample([*kinds],len(kinds)):
        h,s,ad=kinds[k]; w=_Watch(time.thread_time); t=time.thread_time(); pool._compare(h,s,w,admitted=ad); times[k].append(time.thread_time()-t)
for k in kinds: print(k, round(sorted(times[k])[350]*1e3,2), round(auc(times[k],times["wrong"]),3))
pool.close()
