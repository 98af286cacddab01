/**
 * Checks that no held-out prompt is in the training data. The same words on two sides of a split
 * are an error, not a warning.
 */
import type { Message } from '#shared/protocol/generate.ts';
import { openingTurn, promptKey } from './prompt-key.ts';

export type PlacedPrompt = { side: string; text: string; source: string };

/** How many shared prompts an error names, and how much of each it shows. */
const NAMED = 5;
const SHOWN_CHARACTERS = 100;

/**
 * Throws if two sides share a prompt, as compared by `promptKey`. The error names the first shared
 * prompts and their sources.
 */
export function assertNoSharedPrompts(prompts: Iterable<PlacedPrompt>): void {
  const seen = new Map<string, PlacedPrompt>();
  const shared = new Map<string, string>();
  for (const prompt of prompts) {
    const key = promptKey(prompt.text);
    const other = seen.get(key);
    if (other === undefined) seen.set(key, prompt);
    else if (other.side !== prompt.side && !shared.has(key)) {
      const [text, rest] = [prompt.text.slice(0, SHOWN_CHARACTERS), prompt.text.slice(SHOWN_CHARACTERS)];
      const where = `${other.side} (${other.source}) and ${prompt.side} (${prompt.source})`;
      shared.set(key, `"${text}${rest === '' ? '' : '...'}" is in ${where}`);
    }
  }
  if (shared.size === 0) return;
  const more = shared.size > NAMED ? `; and ${shared.size - NAMED} more` : '';
  throw new Error(`leak: ${[...shared.values()].slice(0, NAMED).join('; ')}${more}`);
}

type PromptRow = { prompt: readonly Message[]; source: string };

/** For rows whose prompt is a conversation. Throws if an opening turn is on both sides. */
export function assertNoLeak(train: readonly PromptRow[], heldOut: readonly PromptRow[]): void {
  const place = (side: string) => (row: PromptRow) => ({
    side,
    text: openingTurn(row.prompt),
    source: row.source,
  });
  assertNoSharedPrompts([...train.map(place('train')), ...heldOut.map(place('held-out'))]);
}
