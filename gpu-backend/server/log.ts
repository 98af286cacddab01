/**
 * The backend's log: an event a line. Under a log collector it is one JSON object a line, with
 * fields to search by. On a laptop it is the message alone. Neither has prompts, answers or keys.
 */
export type LogFields = {
  event?: string;
  level?: 'info' | 'warn' | 'error';
  request?: string;
  trace?: string;
  [field: string]: unknown;
};
export type Log = (message: string, cause?: unknown, fields?: LogFields) => void;

export type LogFormat = 'json' | 'text';

/** A log that writes to stderr. */
export function logTo(format: LogFormat, { now = () => new Date() }: { now?: () => Date } = {}): Log {
  if (format === 'text')
    return (message, cause) => console.error(...(cause === undefined ? [message] : [message, cause]));
  return (message, cause, { event = 'note', level = 'info', ...fields } = {}) =>
    console.error(
      JSON.stringify(
        { time: now().toISOString(), level, event, ...fields, message, ...(cause !== undefined && { cause }) },
        describeErrors,
      ),
    );
}

/** The same log, with fields that every line of one request has. */
export function logAbout(log: Log, about: LogFields): Log {
  return (message, cause, fields) => log(message, cause, { ...about, ...fields });
}

function describeErrors(_key: string, value: unknown): unknown {
  if (!(value instanceof Error)) return value;
  return { name: value.name, message: value.message, stack: value.stack, cause: value.cause };
}
