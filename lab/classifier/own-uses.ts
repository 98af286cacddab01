/**
 * Shows the same verb with harmless and with harmful objects ("shoot a portrait", "shoot a
 * teacher"), and the same grim subject in questions by people who want to know about it and in
 * orders by people who want to do it. Only the two words together decide, so we show the pairs many
 * times.
 */
import { promptKey } from '#training/data/prompt-key.ts';
import { createRandom } from '#training/data/random.ts';
import { loadFrames, loadUses } from './own-files.ts';
import { fill, type Question } from './question.ts';
import { splitOf } from './split.ts';

/**
 * In training: frames per phrase, and carriers per subject and side. In the other splits, one of
 * each.
 */
const FRAMES_EACH = 3;
const CARRIERS_EACH = 5;

/** Deterministic in `seed`. The split is by phrase and by subject. */
export function ownUses({ seed }: { seed: number }): Question[] {
  const { actions, subjects } = loadUses();
  const frames = loadFrames();
  const put = (key: string, text: string, { frames, most }: { frames: readonly string[]; most: number }) => {
    const split = splitOf(promptKey(text));
    const chosen = createRandom(`${seed}/uses/${key}/${text}`).sample(frames, split === 'train' ? most : 1);
    return chosen.map((frame) => ({ text: fill(frame, text), split }));
  };

  const done = actions.flatMap(({ deed, category, safe, unsafe }) => {
    const framed = (objects: readonly string[], kind: Pick<Question, 'label' | 'scary'>) =>
      objects.flatMap((object) =>
        put('deed', fill(deed, object), { frames, most: FRAMES_EACH }).map((each) => ({ ...each, ...kind })),
      );
    return [...framed(safe, { label: null, scary: true }), ...framed(unsafe, { label: category, scary: false })];
  });

  const asked = Object.entries(subjects.of).flatMap(([category, names]) =>
    names.flatMap((name) => {
      const carried = (side: 'safe' | 'unsafe', kind: Pick<Question, 'label' | 'scary'>) =>
        put(side, name, { frames: subjects[side], most: CARRIERS_EACH }).map((each) => ({ ...each, ...kind }));
      return [
        ...carried('safe', { label: null, scary: true }),
        // The cast is safe because the file's schema has checked the keys.
        ...carried('unsafe', { label: category as Question['label'], scary: false }),
      ];
    }),
  );
  return [...done, ...asked];
}
