/**
 * What is wrong with a policy document, one line for each fault: the key, what was found, what was
 * wanted.
 */
import type * as z from 'zod';
import { describeFound } from '#shared/api/invalid-request.ts';
import { Policy, PolicyPart } from './schema.ts';

export type PolicyProblem = { key: string; found: string; wanted: string };

export type ReadPolicy = { policy: Policy; problems: [] } | { policy: null; problems: PolicyProblem[] };

/**
 * Reads a document as a tenant's (`policy`) or as that of another level (`part`), and lists every
 * fault if it is not one.
 */
export function readPolicy(document: unknown, kind: 'policy' | 'part'): ReadPolicy {
  const parsed = (kind === 'policy' ? Policy : PolicyPart).safeParse(document, { reportInput: true });
  if (parsed.success) return { policy: parsed.data, problems: [] };
  return { policy: null, problems: parsed.error.issues.flatMap(problemsOf) };
}

type Issue = z.core.$ZodIssue;

function problemsOf(issue: Issue): PolicyProblem[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      return { key: keyOf([...issue.path, key]), found: 'an unknown field', wanted: 'a field of the policy language' };
    });
  }
  return [{ key: keyOf(issue.path), found: describeFound(issue.input), wanted: wantedBy(issue) }];
}

const TYPES: Readonly<Record<string, string>> = {
  int: 'a whole number',
  number: 'a number',
  string: 'a text',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
};

function wantedBy(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_value':
      return issue.values.map((value) => JSON.stringify(value)).join(' or ');
    case 'invalid_type':
      return TYPES[issue.expected] ?? issue.expected;
    case 'too_small':
      return `${sizeOf(issue.origin)}${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}`;
    case 'too_big':
      return `${sizeOf(issue.origin)}${issue.inclusive === false ? 'less than' : 'at most'} ${issue.maximum}`;
    default:
      return issue.message;
  }
}

/** The whole document has no key, and a key may be an empty text. */
const keyOf = (path: readonly PropertyKey[]) =>
  path.length === 0 ? 'the document' : path.map((key) => (key === '' ? '""' : String(key))).join('.');

const sizeOf = (origin: string) => (origin === 'string' ? 'a text with a length of ' : '');
