"""What each problem means and what to do about it, in words for whoever meets it.

One entry a code; `/errors/{code}` and the reference page are made of it. Knows no request.
"""

from typing import Final, NamedTuple

from app.http.problem import BY_CODE, status_of


class Explanation(NamedTuple):
    """Sentences in plain text: what happened, and what the caller or the operator does next."""

    meaning: str
    remedy: str


EXPLANATIONS: Final[dict[str, Explanation]] = {
    "invalid_request": Explanation(
        "The request can't be read, or a value in it is not acceptable: the body is not a JSON "
        "object in UTF-8, is nested more than 16 deep, a member is missing, repeated or unknown, "
        "has the wrong type, or is against the rules of names, secrets and permissions; or a "
        "parameter is not what it may be, such as an `after` that was never a `next`.",
        "Look at `errors`: each entry points at a member of the body (RFC 6901; the empty pointer "
        "is the whole body) or at a parameter, as in /limit, and says what is wrong with it. Mend "
        "that and send the request again; "
        "sent unchanged it will be refused again. Nothing was stored.",
    ),
    "unacceptable_secret": Explanation(
        "The new user_secret is too short or too long, is among the most common ones, or is made "
        "of the user_id or of this product's name.",
        "Choose another: a few unrelated words are easy to keep and hard to guess. `errors` says "
        "which rule it was. Nothing was stored.",
    ),
    "invalid_credentials": Explanation(
        "There is no such user, or the secret is wrong, or the user is disabled. Which of the "
        "three is not said, so that nobody can find out who is registered here.",
        "Check the user_key (uk_ and 26 more characters) and the user_secret. Whoever lost the "
        "user_key gets it from /userkey with user_id and user_secret. When both are surely right, "
        "ask an administrator whether the user is disabled.",
    ),
    "invalid_token": Explanation(
        "The access token or refresh token is missing, mistyped, made up, or no longer good. Of a "
        "token that was good once, `reason` says why: `expired` (its time is over), `revoked` "
        "(its session was ended), `reused` (a refresh token that had been replaced was presented "
        "again, so its session was ended), `retired` (it was replaced a moment ago), "
        "`user_disabled`.",
        "With a refused access token: get a new one from /refresh, and send it as "
        "`Authorization: Bearer …`. With a refused refresh token: authenticate again; only after "
        "`retired`, use the newer refresh token. After `reused`, find out who else held the "
        "token. The two kinds of token don't stand in for each other.",
    ),
    "insufficient_permission": Explanation(
        "The token is good, but its holder lacks the permission that `permission` names. Nobody "
        "gives a permission without holding it, and it takes `admin` to change a user who has "
        "`admin`.",
        "Ask an administrator for it. One that was given just now is in the next access token: "
        "refresh first. One that was taken away counts for nothing at once, whatever the token "
        "says.",
    ),
    "registration_closed": Explanation(
        "This service doesn't let strangers register.",
        "Ask an administrator for a user. An operator opens registration with "
        "GATEBOOK_REGISTRATION=open.",
    ),
    "not_found": Explanation(
        "There is nothing at this path, or nothing of that name that the caller may see.",
        "Check the path for typing errors; /schema shows every path there is.",
    ),
    "method_not_allowed": Explanation(
        "There is something at this path, but it doesn't take this method.",
        "Use one of the methods in the `Allow` header; /schema shows what each does.",
    ),
    "user_id_taken": Explanation(
        "Another user has this user_id. Names that differ in case or in width alone are the same "
        "name.",
        "Choose another one. If it is your own, for instance because the answer to an earlier "
        "/register was lost, ask /userkey for its key with the same user_id and user_secret.",
    ),
    "last_administrator": Explanation(
        "This is the last enabled user with the permission `admin`. It is not disabled, erased or "
        "stripped of it over HTTP, since nobody could undo that.",
        "Make another administrator first. An operator may do it on the command line.",
    ),
    "log_changed": Explanation(
        "The position belongs to another log than this service has now, or lies beyond its end: "
        "the store was restored or replaced.",
        "Forget the positions and keys that you remember, and begin again without `after`; "
        "/version names the log.",
    ),
    "rebuild_running": Explanation(
        "A view is being rebuilt already, and only one is at a time.",
        "Wait until it has finished, or cancel it; /projections shows how far it is.",
    ),
    "too_large": Explanation(
        "The body is longer than the 16 KiB that this service reads.",
        "Send less: no request here needs that much. Check that it is the body that you meant to "
        "send.",
    ),
    "unsupported_media_type": Explanation(
        "The body is not declared to be JSON, or is declared to be compressed.",
        "Send it with `Content-Type: application/json`, in UTF-8, and without `Content-Encoding`.",
    ),
    "too_many_attempts": Explanation(
        "Too many attempts failed from this address or its network, or at this account; or too "
        "many users were registered from there. Nothing is locked for good, and failures from "
        "elsewhere don't keep out whoever logged in from the same network before.",
        "Wait as many seconds as `Retry-After` says; earlier attempts are refused without being "
        "looked at. Operators behind a proxy: check GATEBOOK_TRUSTED_PROXIES, or all clients "
        "count as the proxy's one address.",
    ),
    "internal_error": Explanation(
        "A fault of the service itself. It has been logged with the same `request_id`.",
        "Report it to the operator with the `request_id`. Before repeating a change, look whether "
        "it was done. Operators: search the log for the `request_id`, then run `gatebook doctor`.",
    ),
    "overloaded": Explanation(
        "The service has more to do than it can finish in time, and refuses at once rather than "
        "let everybody wait. Nothing was done for this request.",
        "Repeat it after as many seconds as `Retry-After` says, and wait longer each time. "
        "Operators: /metrics shows which queue is full.",
    ),
    "unavailable": Explanation(
        "The store can't be reached, or did not confirm the change in time. A change that was "
        "asked for may still have been made.",
        "Repeat the request after as many seconds as `Retry-After` says. After /register and "
        "POST /users, ask /userkey first: it knows the key if the user was stored. After "
        "/me/secret, a 401 may mean that it was done: try the new secret. Operators: /readyz says "
        "what is wrong.",
    ),
}


def text_of(code: str) -> str:
    """The page of a problem; raises KeyError for a code that there isn't."""
    cls = BY_CODE[code]
    what = EXPLANATIONS[code]
    heading = f"{cls.title} ({code}, status {status_of(cls)})"
    return f"{heading}\n\n{what.meaning}\n\nWhat to do\n\n{what.remedy}\n".replace("`", "")
