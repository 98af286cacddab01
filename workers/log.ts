/** The log: one JSON object a line. It gets what the caller must not see; prompts, answers and keys it never gets. */
type Entry = { event: string; request?: string; [field: string]: unknown };

export function logError(entry: Entry): void {
  console.error(JSON.stringify({ level: 'error', ...entry }, describeErrors));
}

function describeErrors(_key: string, value: unknown): unknown {
  if (!(value instanceof Error)) return value;
  return { name: value.name, message: value.message, stack: value.stack, cause: value.cause };
}
