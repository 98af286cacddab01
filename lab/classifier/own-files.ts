/**
 * Reads the files in `data/`. Errors name the faulty file.
 *
 * Each category has whole prompts (`requests`, and safe `lookalikes` with the same frightening
 * words) and verb phrases for the frames (`deeds`, and safe `chores`). `jailbreak.json` has what
 * goes around questions: wrappers that attack, `plays` that do not, documents with a slot for a
 * planted instruction or a harmless aside, and frames for an encoded question. Some of those frames
 * are attacks by their own words, some ask the model to answer what is hidden, and some ask it only
 * to read it.
 *
 * `uses.json` has deeds with harmless and with harmful objects, and things to ask about grim
 * subjects. `contrast` has one file per label, with pairs in nearly the same words.
 * `contrast-check.json` has more pairs, for measuring only.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { CATEGORIES, type Category, type Label } from '#shared/line/categories.ts';

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
  answeringFrames: Slotted,
  decodingFrames: Slotted,
});
const Sentence = z.string().trim().min(3);
const Templates = z.array(
  z.strictObject({
    template: z.string().min(1),
    pairs: z.array(z.strictObject({ safe: Sentence, unsafe: Sentence })).min(1),
  }),
);
/** The split is by template, so one name must not stand for two patterns. */
export const ContrastFile = Templates.min(5).refine(
  (templates) => new Set(templates.map(({ template }) => template)).size === templates.length,
  'has a template twice',
);
const Few = z.array(z.string().trim().min(2)).min(2);
const UsesFile = z.strictObject({
  actions: z.array(
    z.strictObject({ deed: z.string().includes('{}'), category: z.enum(CATEGORIES), safe: Few, unsafe: Few }),
  ),
  subjects: z.strictObject({ safe: Slotted, unsafe: Slotted, of: z.record(z.enum(CATEGORIES), Few) }),
});
const BenignFile = z.strictObject({ lookalikes: Lines, everyday: Lines, chores: Lines });

export const loadCategory = (category: Category) => load(`${category}.json`, CategoryFile);
export const loadJailbreak = () => load('jailbreak.json', JailbreakFile);
export const loadBenign = () => load('benign.json', BenignFile);
export const loadContrast = (label: Label) => load(`contrast/${label}.json`, ContrastFile);
export const loadContrastCheck = () => load('contrast-check.json', ContrastFile);
export const loadUses = () => load('uses.json', UsesFile);
export const loadFrames = () => load('frames.json', Slotted);

function load<T>(name: string, schema: z.ZodType<T>): T {
  return loadFile(path.join(DATA_DIR, name), schema);
}

export function loadFile<T>(file: string, schema: z.ZodType<T>): T {
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
