/** Everything that a study could ask real models, for those who must not have learned from it. */
import { ordinarySet, PARTS_ASKED } from '../questions/held-out-sets.ts';
import type { QuestionSet } from '../questions/questions.ts';
import { SET_IDS, type SetId, studySets } from '../questions/sets.ts';

const ORDINARY: readonly SetId[] = ['ordinary', 'ordinary-whole'];

/**
 * The sets of real prompts, of every part that is asked, whatever the length and however many a
 * source has. A set may come more than once. Where `dataDir` lacks a set's files, the set is not
 * there.
 */
export async function askedPrompts(dataDir: string): Promise<QuestionSet[]> {
  const options = { seed: 0, edition: 'whole', dataDir, perSource: Infinity, maxPromptTokens: Infinity } as const;
  const ids = SET_IDS.filter((id) => id !== 'world');
  const found: QuestionSet[] = [];
  for (const part of PARTS_ASKED) {
    const { sets } = await studySets({ ...options, part, promptTokens: () => 0 }, ids);
    found.push(...sets);
    // A study asks some of these, after it has left out those that are too long for its model. The
    // other sources of the held-out sets are whole in the sets above.
    const perSource = { hh: Infinity, dolly: Infinity, rasbt: Infinity };
    const ordinary = sets.filter(({ id }) => ORDINARY.some((each) => each === id));
    if (ordinary.length === 0) continue;
    const questions = await ordinarySet({ dataDir, part, perSource, fits: () => true });
    found.push(...ordinary.map((set) => ({ ...set, questions })));
  }
  return found;
}
