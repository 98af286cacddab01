/**
 * Reads rotary positions from `config.json`. Transformers 4 writes `rope_theta` and, for a longer
 * context, `rope_scaling`. Transformers 5 writes both into `rope_parameters`. A file may have all
 * three, as long as they agree.
 *
 * Nothing here is skipped: a type or parameter that we do not compute is a problem, because
 * ignoring it would give a model that answers, but wrongly.
 */
import * as z from 'zod';
import { show } from './config-keys.ts';
import type { Rope } from './rope.ts';

/** The keys of config.json that this file reads. */
export const ROPE_KEYS = ['rope_theta', 'rope_scaling', 'rope_parameters', 'partial_rotary_factor'] as const;

/** Reports one problem: where it is, what was found and what was wanted. */
export type Report = (path: readonly string[], message: string) => void;

const positive = z.number('wanted a positive number').positive('wanted a positive number');
const positiveInt = z.int('wanted a positive whole number').min(1, 'wanted a positive whole number');
/** The parameters of each type, besides `rope_theta`. */
const TYPES = {
  default: z.strictObject({ rope_type: z.literal('default') }),
  linear: z.strictObject({ rope_type: z.literal('linear'), factor: positive }),
  llama3: z
    .strictObject({
      rope_type: z.literal('llama3'),
      factor: positive,
      low_freq_factor: positive,
      high_freq_factor: positive,
      original_max_position_embeddings: positiveInt,
    })
    .refine((rope) => rope.high_freq_factor > rope.low_freq_factor, {
      path: ['high_freq_factor'],
      error: 'wanted more than low_freq_factor',
    }),
};
const known = Object.keys(TYPES).map(show).join(', ');

/** What Transformers assumes in all our families. */
const DEFAULT_THETA = 10_000;

/** Each parameter with the place where it stands. */
type Found = Map<string, { path: string[]; value: unknown }>;

/** @returns null if there are problems */
export function readRope(raw: Readonly<Record<string, unknown>>, report: Report): Rope | null {
  let failed = false;
  const problem: Report = (path, message) => {
    failed = true;
    report(path, message);
  };
  const found = collect(raw, problem);
  if (failed) return null;
  const take = (name: string) => {
    const entry = found.get(name);
    found.delete(name);
    return entry;
  };

  const theta = take('rope_theta');
  if (theta !== undefined && !positive.safeParse(theta.value).success) {
    problem(theta.path, `found ${show(theta.value)}, wanted a positive number`);
  }
  const partial = take('partial_rotary_factor');
  if (partial !== undefined && partial.value !== 1) problem(partial.path, `found ${show(partial.value)}, wanted 1`);

  const type = found.get('rope_type') ?? { path: ['rope_parameters', 'rope_type'], value: 'default' };
  if (!(typeof type.value === 'string' && Object.hasOwn(TYPES, type.value))) {
    problem(type.path, `found ${show(type.value)}, wanted one of ${known}`);
    return null;
  }
  const values = Object.fromEntries([...found].map(([name, { value }]) => [name, value]));
  const parsed = TYPES[type.value as keyof typeof TYPES].safeParse({ rope_type: type.value, ...values });
  for (const issue of parsed.error?.issues ?? []) {
    const [names, wanted] =
      issue.code === 'unrecognized_keys'
        ? [issue.keys, `wanted no such key with rope_type ${show(type.value)}`]
        : [[String(issue.path[0])], issue.message];
    for (const name of names) {
      const { path, value } = found.get(name) ?? { path: [type.path[0]!, name], value: undefined };
      problem(path, `found ${show(value)}, ${wanted}`);
    }
  }
  if (failed || parsed.data === undefined) return null;
  return {
    rope_theta: (theta?.value as number | undefined) ?? DEFAULT_THETA,
    ...(parsed.data.rope_type !== 'default' && { rope_scaling: parsed.data }),
  };
}

/** Gathers the parameters from all places. The same parameter must not have two values. */
function collect(raw: Readonly<Record<string, unknown>>, problem: Report): Found {
  const found: Found = new Map();
  const put = (name: string, path: string[], value: unknown) => {
    if (value === null || value === undefined) return;
    const other = found.get(name);
    if (other === undefined) found.set(name, { path, value });
    else if (other.value !== value) {
      problem(path, `found ${show(value)}, wanted ${show(other.value)} as in ${other.path.join('.')}`);
    }
  };
  put('rope_theta', ['rope_theta'], raw.rope_theta);
  put('partial_rotary_factor', ['partial_rotary_factor'], raw.partial_rotary_factor);
  for (const place of ['rope_scaling', 'rope_parameters']) {
    const value = raw[place] ?? {};
    if (typeof value !== 'object' || Array.isArray(value)) {
      problem([place], `found ${show(value)}, wanted an object`);
      continue;
    }
    // Older files call the type `type`.
    for (const [key, part] of Object.entries(value)) put(key === 'type' ? 'rope_type' : key, [place, key], part);
  }
  return found;
}
