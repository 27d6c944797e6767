-- Run once by PostgreSQL's image, as its superuser, when the volume is new: compose.postgresql.yaml.
\set password `cat /run/secrets/database_password`

-- Owner of its database and no superuser: who gets into Gatebook doesn't get into the server.
CREATE ROLE gatebook LOGIN PASSWORD :'password';

-- Sorted by bytes: by a locale's rules, indexes would break when the image moves to another libc.
CREATE DATABASE gatebook OWNER gatebook TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C';

-- The superuser comes in by the socket alone, that is from inside the container.
ALTER ROLE postgres PASSWORD NULL;
