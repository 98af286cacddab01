/**
 * The files of `data/`: whole prompts (`requests`, and safe `lookalikes` with the same frightening words) and verb phrases
 * (`deeds`, and safe `chores`) for the frames. `jailbreak.json` has what is put around questions: wrappers that attack and
 * `plays` that do not, documents with a place for a planted instruction or a harmless aside, and frames for an encoded
 * question, some of which ask to obey it and some only to read it. A wrong file is named.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import type { Category } from '#shared/api/categories.ts';

const DATA_DIR = path.join(import.meta.dirname, 'data');

const Lines = z.array(z.string().trim().min(3)).min(10);
const Slotted = z.array(z.string().includes('{}')).min(10);
const CategoryFile = z.strictObject({ requests: Lines, deeds: Lines, lookalikes: Lines, chores: Lines });
const JailbreakFile = z.strictObject({
  requests: Lines,
  wrappers: Slotted,
  lookalikes: Lines,
  plays: Slotted,
  documents: Slotted,
  planted: Lines,
  asides: Lines,
  encodedFrames: Slotted,
  decodingFrames: Slotted,
});
const BenignFile = z.strictObject({ lookalikes: Lines, everyday: Lines, chores: Lines });

export const loadCategory = (category: Category) => load(`${category}.json`, CategoryFile);
export const loadJailbreak = () => load('jailbreak.json', JailbreakFile);
export const loadBenign = () => load('benign.json', BenignFile);
export const loadFrames = () => load('frames.json', Slotted);

function load<T>(name: string, schema: z.ZodType<T>): T {
  const file = path.join(DATA_DIR, name);
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new Error(`${file}: ${(cause as Error).message}`, { cause });
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) throw new Error(`${file}: ${z.prettifyError(parsed.error).replaceAll('\n', ' ')}`);
  return parsed.data;
}
