/** Says in our words what is wrong with a stage's settings, from a file or from flags. */
import type * as z from 'zod';

type Problem = z.core.$ZodIssue;

/**
 * One clause a problem. `known` are all settings. `as` writes the name of a setting as the user
 * wrote it: a flag or a key.
 */
export function settingsProblems(
  error: z.ZodError,
  { known, value, as }: { known: readonly string[]; value: unknown; as: 'flag' | 'key' },
): string {
  const nameOf = as === 'flag' ? flagOf : (key: string) => key;
  return error.issues.map((issue) => problemOf(issue, { known, value, nameOf })).join('; ');
}

/** `--learning-rate`, for `learningRate`. */
export const flagOf = (key: string) => `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

function problemOf(
  issue: Problem,
  { known, value, nameOf }: { known: readonly string[]; value: unknown; nameOf: (key: string) => string },
): string {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => `there is no setting ${key}; there are ${known.toSorted().join(', ')}`).join('; ');
  }
  const [key, ...inner] = issue.path.map(String);
  if (key === undefined) return `found ${JSON.stringify(value)}, wanted an object of settings`;
  const name = [nameOf(key), ...inner].join('.');
  const found = foundAt(value, issue.path);
  if (found === undefined) return `${name} is missing: ${wantedBy(issue)}`;
  return `${name}: found ${JSON.stringify(found)}, wanted ${wantedBy(issue)}`;
}

const TYPES: Readonly<Record<string, string>> = {
  int: 'a whole number',
  number: 'a number',
  string: 'a text',
  array: 'a list',
};

/** What a value should have been: `at least 1`. */
export function wantedBy(issue: Problem): string {
  switch (issue.code) {
    case 'invalid_value':
      return issue.values.map(String).join(' or ');
    case 'invalid_type':
      return TYPES[issue.expected] ?? issue.expected;
    case 'too_small':
      return `${issue.inclusive ? 'at least' : 'more than'} ${issue.minimum}`;
    case 'too_big':
      return `${issue.inclusive ? 'at most' : 'less than'} ${issue.maximum}`;
    default:
      return issue.message;
  }
}

function foundAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let found = value;
  for (const key of path) {
    if (typeof found !== 'object' || found === null) return undefined;
    found = Reflect.get(found, key);
  }
  return found;
}
