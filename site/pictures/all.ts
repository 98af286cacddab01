/** The pictures that programs draw: file -> its text. */
import { budgetSpent } from './budget.ts';
import { firstWord } from './first-word.ts';
import { presets } from './presets.ts';
import type { Recorded } from './recorded.ts';
import { secondLook } from './second-look.ts';
import { threeLines } from './three-lines.ts';

export function pictures(recorded: Recorded): Record<string, string> {
  return {
    'docs/three-lines.svg': threeLines(recorded),
    'docs/first-word.svg': firstWord(recorded),
    'docs/budget-spent.svg': budgetSpent(recorded),
    'docs/second-look.svg': secondLook(recorded),
    'docs/presets.svg': presets(),
  };
}
