/** Everything that can go wrong, told apart by a `code` that stays. Knows no request. */

/** The service's words for a refusal (RFC 9457). */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
  readonly request_id: string;
  readonly reason?: string;
  readonly permission?: string;
  readonly errors?: readonly { readonly pointer: string; readonly detail: string }[];
}

/** What the service answers, in its problems. */
export type ServiceCode =
  | 'invalid_request'
  | 'unacceptable_secret'
  | 'invalid_credentials'
  | 'invalid_token'
  | 'insufficient_permission'
  | 'registration_closed'
  | 'not_found'
  | 'method_not_allowed'
  | 'too_large'
  | 'unsupported_media_type'
  | 'user_id_taken'
  | 'last_administrator'
  | 'log_changed'
  | 'rebuild_running'
  | 'too_many_attempts'
  | 'overloaded'
  | 'unavailable'
  | 'internal_error';

/** What this client finds out by itself. */
export type ClientCode =
  /** The program has to be changed. */
  | 'configuration'
  /** Nothing that is held is accepted any more: log in again. */
  | 'reauthentication_required'
  /** Something else than Gatebook answers there, or one that is newer than this client. */
  | 'unexpected_answer'
  /** Another tab or process holds the store for too long, or a new token can't be kept in it. */
  | 'store_unavailable'
  /** A verifier's no to a token; it never says which check it was. */
  | 'token_refused'
  /** A genuine token that is past its time. */
  | 'token_expired'
  /** A genuine token of a session that has ended, or of a key that was withdrawn. */
  | 'session_ended'
  /** Keys or revocations are missing or too old to tell. */
  | 'verifier_not_ready';

/** `code` says what to do; a newer service may have more of them. */
export type Code = ServiceCode | ClientCode | (string & {});

/** What an error is made with, besides its message. */
export interface Details {
  readonly problem?: Problem | undefined;
  readonly retryAfter?: number | undefined;
  readonly cause?: unknown;
}

/** All that this client rejects with, but what a given function or signal throws. */
export class GatebookError extends Error {
  override readonly name: string = 'GatebookError';
  declare readonly code: Code;
  /** All that the service said, where it did. */
  declare readonly problem: Problem | undefined;
  /** Seconds after which the same may work, where that is known. */
  declare readonly retryAfter: number | undefined;

  constructor(code: Code, message: string, details?: Details) {
    super(message, details); // of which it takes the cause
    Object.assign(this, { code, problem: details?.problem, retryAfter: details?.retryAfter });
  }
}

export const has = (error: unknown, code: Code): boolean => (error as Partial<GatebookError> | null)?.code === code;

/** Whether the same may work later. */
export const passing = (error: unknown): error is GatebookError =>
  error instanceof GatebookError &&
  /^((store_)?unavailable|overloaded|too_many_attempts)$/.test(error.code);
