/** Says in plain words what is wrong with a row of a data file. */
import type { z } from 'zod';

/** Says what a row that does not fit looks like instead, or null. */
export type RowHint = (row: unknown) => string | null;

const NAMED = 3;
const SHOWN_CHARACTERS = 60;

/** `row` is what the file holds. One clause for each of the first problems, then the hint. */
export function rowProblem(error: z.ZodError, row: unknown, hint: RowHint = () => null): string {
  const clauses = error.issues.slice(0, NAMED).map((issue) => problemOf(issue, row));
  const looksLike = hint(row);
  return [...clauses, ...(looksLike === null ? [] : [looksLike])].join('; ');
}

const WORDS: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
};

function problemOf(issue: z.core.$ZodIssue, row: unknown): string {
  const at = issue.path.map(String).join('.') || 'the row';
  return `${at}: found ${shown(valueAt(row, issue.path))}, wanted ${wanted(issue)}`;
}

function wanted(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return WORDS[issue.expected] ?? issue.expected;
    case 'invalid_value':
      return issue.values.map((value) => JSON.stringify(value)).join(' or ');
    case 'invalid_union': {
      const ways = new Set(issue.errors.flatMap(([first]) => (first === undefined ? [] : [wanted(first)])));
      return [...ways].join(' or ');
    }
    case 'too_small':
      return issue.origin === 'string' ? 'a text that is not empty' : `at least ${issue.minimum}`;
    default:
      return issue.message;
  }
}

function valueAt(row: unknown, path: readonly PropertyKey[]): unknown {
  let found = row;
  for (const key of path) {
    if (typeof found !== 'object' || found === null) return undefined;
    found = Reflect.get(found, key);
  }
  return found;
}

function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value, (_, inner) => (typeof inner === 'bigint' ? String(inner) : inner)) ?? typeof value;
  return text.length <= SHOWN_CHARACTERS ? text : `${text.slice(0, SHOWN_CHARACTERS)}...`;
}
