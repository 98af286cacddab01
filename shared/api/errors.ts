import type { AnswerExtension } from './plimsoll-extension.ts';

/**
 * How much we log about an error. Most errors get one short line, because under load they come by
 * the hundred.
 *
 * - `line`: a short line.
 * - `warning`: the same, as a warning.
 * - `cause`: the backend, where the error happened, also logs its cause. The edge only received the
 *   error, so it logs just the messages.
 * - `stack`: our code is at fault, so edge and backend log everything they know.
 */
type LogDetail = 'line' | 'warning' | 'cause' | 'stack';

/**
 * The closed list of error codes, from the backend to the client. Everything that a code decides is
 * a column of this table: the HTTP status, OpenAI's `type`, whether the same request may be sent
 * again, and how much is logged.
 */
export const ERROR_CODES = {
  // The caller's mistakes.
  invalid_json: { status: 400, type: 'invalid_request_error', retry: false, log: 'line' },
  invalid_request: { status: 400, type: 'invalid_request_error', retry: false, log: 'line' },
  // OpenAI's names for what is wrong with one field. `invalid_request` is for the rest.
  missing_required_parameter: { status: 400, type: 'invalid_request_error', retry: false, log: 'line' },
  unknown_parameter: { status: 400, type: 'invalid_request_error', retry: false, log: 'line' },
  unsupported_parameter: { status: 400, type: 'invalid_request_error', retry: false, log: 'line' },
  unsupported_value: { status: 400, type: 'invalid_request_error', retry: false, log: 'line' },
  invalid_type: { status: 400, type: 'invalid_request_error', retry: false, log: 'line' },
  invalid_value: { status: 400, type: 'invalid_request_error', retry: false, log: 'line' },
  integer_below_min_value: { status: 400, type: 'invalid_request_error', retry: false, log: 'line' },
  integer_above_max_value: { status: 400, type: 'invalid_request_error', retry: false, log: 'line' },
  decimal_below_min_value: { status: 400, type: 'invalid_request_error', retry: false, log: 'line' },
  decimal_above_max_value: { status: 400, type: 'invalid_request_error', retry: false, log: 'line' },
  string_below_min_length: { status: 400, type: 'invalid_request_error', retry: false, log: 'line' },
  string_above_max_length: { status: 400, type: 'invalid_request_error', retry: false, log: 'line' },
  empty_array: { status: 400, type: 'invalid_request_error', retry: false, log: 'line' },
  array_above_max_length: { status: 400, type: 'invalid_request_error', retry: false, log: 'line' },
  // It is not there, or none are stored.
  previous_response_not_found: { status: 400, type: 'invalid_request_error', retry: false, log: 'line' },
  context_length_exceeded: { status: 400, type: 'invalid_request_error', retry: false, log: 'line' },
  invalid_api_key: { status: 401, type: 'authentication_error', retry: false, log: 'line' },
  // The key was right once.
  expired_api_key: { status: 401, type: 'authentication_error', retry: false, log: 'line' },
  tenant_suspended: { status: 403, type: 'permission_error', retry: false, log: 'line' },
  permission_denied: { status: 403, type: 'permission_error', retry: false, log: 'line' },
  policy_refused: { status: 403, type: 'permission_error', retry: false, log: 'line' },
  unknown_url: { status: 404, type: 'invalid_request_error', retry: false, log: 'line' },
  model_not_found: { status: 404, type: 'invalid_request_error', retry: false, log: 'line' },
  not_found: { status: 404, type: 'invalid_request_error', retry: false, log: 'line' },
  method_not_allowed: { status: 405, type: 'invalid_request_error', retry: false, log: 'line' },
  request_timeout: { status: 408, type: 'invalid_request_error', retry: false, log: 'line' },
  request_cut: { status: 400, type: 'invalid_request_error', retry: false, log: 'line' },
  conflict: { status: 409, type: 'invalid_request_error', retry: false, log: 'line' },
  precondition_failed: { status: 412, type: 'invalid_request_error', retry: false, log: 'line' },
  precondition_required: { status: 428, type: 'invalid_request_error', retry: false, log: 'line' },
  idempotency_key_in_use: { status: 409, type: 'invalid_request_error', retry: false, log: 'line' },
  request_too_large: { status: 413, type: 'invalid_request_error', retry: false, log: 'line' },
  unsupported_content_encoding: { status: 415, type: 'invalid_request_error', retry: false, log: 'line' },
  idempotency_key_reused: { status: 422, type: 'invalid_request_error', retry: false, log: 'line' },
  // The tenant's limits. A wait of at most a minute mends the first; the second is spent for the
  // day or the month.
  rate_limit_exceeded: { status: 429, type: 'rate_limit_error', retry: false, log: 'line' },
  insufficient_quota: { status: 429, type: 'insufficient_quota', retry: false, log: 'line' },
  // Between the edge and a backend.
  directive_invalid: { status: 401, type: 'authentication_error', retry: false, log: 'line' },
  directive_expired: { status: 401, type: 'authentication_error', retry: false, log: 'line' },
  heartbeat_invalid: { status: 401, type: 'authentication_error', retry: false, log: 'line' },
  // Our faults.
  internal_error: { status: 500, type: 'server_error', retry: false, log: 'stack' },
  expert_failed: { status: 500, type: 'server_error', retry: true, log: 'cause' },
  receipt_invalid: { status: 502, type: 'server_error', retry: false, log: 'line' },
  backend_unavailable: { status: 503, type: 'server_error', retry: true, log: 'line' },
  overloaded: { status: 503, type: 'server_error', retry: true, log: 'warning' },
} as const satisfies Record<string, { status: number; type: string; retry: boolean; log: LogDetail }>;

export type ErrorCode = keyof typeof ERROR_CODES;

/** What a refusal adds to its error: under which policy, and the edge's receipt for it. */
export type ErrorExtension = Pick<AnswerExtension, 'policy' | 'receipt'>;

/**
 * OpenAI's error body. What we add is inside `error`, because that is the part which OpenAI's
 * clients hand to their user.
 */
export type ErrorBody = {
  error: { message: string; type: string; param: string | null; code: ErrorCode; plimsoll?: ErrorExtension };
};

/**
 * The one error class. `message` is for the caller. `detail` and `cause` are for the log and never
 * leave the process.
 */
export class PlimsollError extends Error {
  override readonly name = 'PlimsollError';
  readonly code: ErrorCode;
  readonly param: string | null;
  readonly detail: unknown;
  readonly retryAfterSeconds: number | undefined;
  /** What stands in the way of a change. The caller gets it beside the error. */
  readonly current: { etag: string; value: unknown } | undefined;
  readonly extension: ErrorExtension | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options: {
      param?: string | null;
      detail?: unknown;
      cause?: unknown;
      retryAfterSeconds?: number;
      current?: { etag: string; value: unknown };
      extension?: ErrorExtension | undefined;
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.param = options.param ?? null;
    this.detail = options.detail;
    this.current = options.current;
    this.retryAfterSeconds = options.retryAfterSeconds ?? (ERROR_CODES[code].status === 503 ? 1 : undefined);
    this.extension = options.extension;
  }

  get status(): number {
    return ERROR_CODES[this.code].status;
  }

  toBody(): ErrorBody {
    return {
      error: {
        message: this.message,
        type: ERROR_CODES[this.code].type,
        param: this.param,
        code: this.code,
        ...(this.extension && { plimsoll: this.extension }),
      },
    };
  }
}

/**
 * Turns whatever was thrown into a PlimsollError. The caller learns nothing internal from an
 * unknown error.
 */
export function toPlimsollError(thrown: unknown): PlimsollError {
  if (thrown instanceof PlimsollError) return thrown;
  return new PlimsollError('internal_error', 'The server had an error while processing your request.', {
    cause: thrown,
  });
}
