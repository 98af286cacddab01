/**
 * The log: one JSON object per line. It gets what the caller must not see, but never prompts,
 * answers or keys.
 */
import { ERROR_CODES, type PlimsollError } from '#shared/api/errors.ts';

type Entry = { event: string; request?: string; trace?: string | undefined; [field: string]: unknown };

export function logError(entry: Entry): void {
  write('error', entry);
}

/** For what an operator may have forgotten. */
export function logWarning(entry: Entry): void {
  write('warn', entry);
}

/** For events that are not our mistake but are worth counting. */
export function logInfo(entry: Entry): void {
  write('info', entry);
}

/**
 * Logs why a request could not be answered. A full queue and an absent backend get a short line,
 * because they come by the hundred. A stack trace is worth its room only if the code is at fault.
 */
export function logFailure(
  event: string,
  { code, message, detail, cause, stack }: PlimsollError,
  about: { request: string; trace?: string | undefined; url?: string; position?: number },
): void {
  const { log } = ERROR_CODES[code];
  const why = log === 'stack' ? { cause, stack } : { because: reasons(cause) };
  write(log === 'warning' ? 'warn' : 'error', { event, ...about, code, message, detail, ...why });
}

function write(level: 'error' | 'warn' | 'info', entry: Entry): void {
  console.error(JSON.stringify({ level, ...entry }, describeErrors));
}

function describeErrors(_key: string, value: unknown): unknown {
  if (!(value instanceof Error)) return value;
  return { name: value.name, message: value.message, stack: value.stack, cause: value.cause };
}

/** The messages of the causes, outermost first; undefined if no cause is known. */
function reasons(cause: unknown): string | undefined {
  const messages: string[] = [];
  for (let each = cause; each !== undefined; each = each instanceof Error ? each.cause : undefined) {
    messages.push(each instanceof Error ? each.message : String(each));
  }
  return messages.length === 0 ? undefined : messages.join(': ');
}
