/**
 * Turns a zod error into a sentence the caller can act on: which field, what was expected, what was
 * found. Like OpenAI, we report only the first issue. `param` names the field in OpenAI's notation
 * (`messages[0].content`).
 */
import * as z from 'zod';
import { type ErrorCode, PlimsollError } from './errors.ts';
import { shortText } from './short-text.ts';

type Issue = z.core.$ZodIssue;
type Path = readonly PropertyKey[];

/**
 * Returns the value as `schema` parses it, or throws an error with OpenAI's code for what is wrong.
 *
 * @param options `at`: where in the request the value stands, as in `input[3]`
 */
export function parseRequest<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  { at }: { at?: string } = {},
): z.output<Schema> {
  const parsed = schema.safeParse(value, { reportInput: true });
  if (parsed.success) return parsed.data;
  const prefix = at === undefined ? [] : [at];
  const { path, message, issue } = explain(parsed.error.issues[0] as Issue, prefix);
  const integer = isInteger(schema, path.slice(prefix.length));
  throw new PlimsollError(codeOf(issue, integer), message, { param: formatPath(path) || null });
}

function codeOf(issue: Issue, integer: boolean): ErrorCode {
  if (issue.code === 'unrecognized_keys') return 'unknown_parameter';
  if (issue.input === undefined && issue.code !== 'custom') return 'missing_required_parameter';
  if (issue.code === 'invalid_type' || issue.code === 'invalid_union') return 'invalid_type';
  if (issue.code !== 'too_small' && issue.code !== 'too_big') return 'invalid_value';
  const isLow = issue.code === 'too_small';
  if (issue.origin === 'string') return isLow ? 'string_below_min_length' : 'string_above_max_length';
  if (issue.origin === 'array') return isLow ? 'empty_array' : 'array_above_max_length';
  if (integer || issue.origin !== 'number') return isLow ? 'integer_below_min_value' : 'integer_above_max_value';
  return isLow ? 'decimal_below_min_value' : 'decimal_above_max_value';
}

/** Whether `schema` expects a whole number at `path`. The issue itself does not say. */
function isInteger(schema: z.ZodType, path: Path): boolean {
  let at: unknown = schema;
  for (const key of path) {
    at = inner(at);
    if (at instanceof z.ZodArray) at = at.element;
    else at = at instanceof z.ZodObject ? (at.shape as Record<PropertyKey, unknown>)[key] : undefined;
  }
  const leaf = inner(at);
  return leaf instanceof z.ZodNumber && leaf.format === 'safeint';
}

function inner(schema: unknown): unknown {
  return schema instanceof z.ZodOptional || schema instanceof z.ZodNullable ? inner(schema.unwrap()) : schema;
}

/** `messages[0].content` */
function formatPath(path: Path): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`;
    const name = shortText(String(key));
    return text === '' ? name : `${text}.${name}`;
  }, '');
}

/**
 * How an error message describes a value: a short value is quoted, others are named by kind. It
 * never quotes a caller's whole text.
 */
export function describeFound(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === 'object') return 'an object';
  if (typeof value === 'bigint') return String(value);
  const text = JSON.stringify(value);
  return text.length <= 40 ? text : `a ${typeof value} of ${String(value).length} characters`;
}

/** For a union, the returned `issue` is the one we report. */
function explain(issue: Issue, prefix: Path): { path: Path; message: string; issue: Issue } {
  const path = [...prefix, ...issue.path];
  if (issue.code === 'invalid_union') {
    const branch = deepestBranch(issue);
    if (branch !== undefined) return explain(branch, path);
  }
  if (issue.code === 'unrecognized_keys') {
    const unknown = [...path, issue.keys[0] as string];
    return { path: unknown, message: `Unknown field '${formatPath(unknown)}'.`, issue };
  }
  const field = path.length === 0 ? 'the request body' : `'${formatPath(path)}'`;
  if (issue.input === undefined && issue.code !== 'custom') {
    return { path, message: `Missing required field ${field}: expected ${expectation(issue)}.`, issue };
  }
  return {
    path,
    message: `Invalid value for ${field}: expected ${expectation(issue)}, found ${describeFound(issue.input)}.`,
    issue,
  };
}

/**
 * The branch of a union that got furthest before it failed. undefined if all branches failed at the
 * value itself.
 */
function deepestBranch(issue: Extract<Issue, { code: 'invalid_union' }>): Issue | undefined {
  const reached = issue.errors.flatMap((issues) =>
    issues
      .slice(0, 1)
      .filter(({ path, code }) => path.length > 0 || (code !== 'invalid_type' && code !== 'invalid_union')),
  );
  return reached.sort((a, b) => b.path.length - a.path.length)[0];
}

function expectation(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return withArticle(issue.expected === 'int' ? 'integer' : issue.expected);
    case 'invalid_value':
      return issue.values.map((value) => JSON.stringify(value)).join(' or ');
    case 'too_small':
      return `${bound(issue.origin, issue.inclusive === false ? 'more than' : 'at least', issue.minimum)}`;
    case 'too_big':
      return `${bound(issue.origin, issue.inclusive === false ? 'less than' : 'at most', issue.maximum)}`;
    case 'invalid_union':
      return issue.errors.flatMap((issues) => issues.slice(0, 1).map(expectation)).join(' or ');
    case 'invalid_key':
      return issue.issues.slice(0, 1).map(expectation).join();
    default:
      return issue.message;
  }
}

function bound(origin: string, relation: string, limit: number | bigint): string {
  if (origin === 'string') return `${relation} ${limit} character${limit === 1 ? '' : 's'}`;
  if (origin === 'array') return `${relation} ${limit} element${limit === 1 ? '' : 's'}`;
  return `a number of ${relation} ${limit}`;
}

function withArticle(noun: string): string {
  return `${/^[aeiou]/.test(noun) ? 'an' : 'a'} ${noun}`;
}
