/** The log: one JSON object a line. It gets what the caller must not see; prompts, answers and keys it never gets. */
import type { PlimsollError } from '#shared/api/errors.ts';

type Entry = { event: string; request?: string; [field: string]: unknown };

export function logError(entry: Entry): void {
  write('error', entry);
}

/** What is nobody's mistake here, and worth counting. */
export function logInfo(entry: Entry): void {
  write('info', entry);
}

/**
 * What came of a request that could not be answered. A full queue and a backend that is away are said in a short line, because
 * they come by the hundred; a stack is worth its room only where the code is at fault.
 */
export function logFailure(
  event: string,
  { code, message, detail, cause, stack }: PlimsollError,
  about: { request: string; url?: string },
): void {
  const why = code === 'internal_error' ? { cause, stack } : { because: reasons(cause) };
  write(code === 'overloaded' ? 'warn' : 'error', { event, ...about, code, message, detail, ...why });
}

function write(level: 'error' | 'warn' | 'info', entry: Entry): void {
  console.error(JSON.stringify({ level, ...entry }, describeErrors));
}

function describeErrors(_key: string, value: unknown): unknown {
  if (!(value instanceof Error)) return value;
  return { name: value.name, message: value.message, stack: value.stack, cause: value.cause };
}

/** The messages of what it came of, outermost first; nothing where nothing is known. */
function reasons(cause: unknown): string | undefined {
  const messages: string[] = [];
  for (let each = cause; each !== undefined; each = each instanceof Error ? each.cause : undefined) {
    messages.push(each instanceof Error ? each.message : String(each));
  }
  return messages.length === 0 ? undefined : messages.join(': ');
}
