/** The lines that a user names for an evaluation. */
import { BackendMode, Line, OPEN_LINE, Rule } from '#shared/line/line.ts';
import { DEMO } from '../methods/recipe.ts';
import { HELPFULNESS_ALONE, SAFETY_ALONE } from './answer-prompts.ts';

/** `strict`, for the line called `strict: floor 0.9, budget 2`. */
const shortName = (name: string) => name.split(':')[0]!.replace('open, mixed in the layers', 'layers');

const NAMED: Readonly<Record<string, Line>> = {
  safety: SAFETY_ALONE,
  helpfulness: HELPFULNESS_ALONE,
  ...Object.fromEntries(Object.entries(DEMO.lines).map(([name, line]) => [shortName(name), line])),
};

export const LINE_NAMES = Object.keys(NAMED);
export const DEFAULT_LINES = ['safety', 'helpfulness', 'strict', 'balanced', 'open'];

const NUMBERS = ['floor', 'ceiling', 'budget'] as const;

/**
 * `balanced`, or `floor=0.5,budget=4`, with any of floor, ceiling, budget, rule and mode. What is
 * not named restricts nothing. Throws, naming what was found, for anything else.
 */
export function lineOf(text: string): Line {
  const named = Object.hasOwn(NAMED, text) ? NAMED[text] : undefined;
  if (named !== undefined) return named;
  if (!text.includes('=')) throw new Error(`--lines: found "${text}", wanted ${wanted()}`);
  const fields: Record<string, unknown> = {};
  for (const part of text.split(',')) {
    const [key = '', value = ''] = part.split('=');
    const isNumber = NUMBERS.some((name) => name === key);
    const isWord =
      (key === 'rule' && Rule.safeParse(value).success) || (key === 'mode' && BackendMode.safeParse(value).success);
    if (!isWord && !(isNumber && value.trim() !== ''))
      throw new Error(`--lines: found "${part}" in "${text}", wanted ${wanted()}`);
    fields[key] = isNumber ? Number(value) : value;
  }
  const line = Line.safeParse({ ...OPEN_LINE, ...fields });
  if (line.success) return line.data;
  const [issue] = line.error.issues;
  throw new Error(`--lines: found "${text}", wanted ${wanted()}: ${issue!.path.join('.')}: ${issue!.message}`);
}

const wanted = () => `one of ${LINE_NAMES.join(', ')}, or one of your own, as in floor=0.5,budget=4`;
