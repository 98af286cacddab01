/**
 * Prompts that the edge's classifier has learned from. The served lines are drawn by it, so the
 * study asks none of them, under any method. The classifier has a split of its own, so the split of
 * experts and judges does not keep them out.
 */
import { contrastPrompts } from '../../classifier/contrast-prompts.ts';
import { withoutLeaks } from '../../classifier/leakage.ts';
import { ownPrompts } from '../../classifier/own-prompts.ts';
import { FILES, readPublic } from '../../classifier/read-public.ts';
import { RECIPE } from '../../classifier/recipe.ts';
import { worldPrompts } from '../../classifier/world-prompts.ts';
import { textKey } from '../../split/split.ts';
import { missingData } from './missing-data.ts';

/**
 * The keys of the prompts that trained or calibrated the shipped classifier, of the small world's
 * too. Without the files that it learned from, `keys` has only those that this repository holds,
 * and `missing` says so.
 */
export async function learnedByEdge(
  dataDir: string | null,
): Promise<{ keys: ReadonlySet<string>; missing: string | null }> {
  const { seed } = RECIPE;
  const lacks = missingData(
    dataDir,
    FILES.map(({ file }) => file),
  );
  const read = lacks === null && dataDir !== null ? (await readPublic(dataDir)).examples : [];
  const ours = [...ownPrompts({ seed }), ...contrastPrompts(), ...worldPrompts({ seed })];
  const learned = withoutLeaks([...read, ...ours]).examples.filter(({ split }) => split !== 'heldout');
  return {
    keys: new Set(learned.map(({ text }) => textKey(text))),
    missing: lacks && `public prompts that the edge's classifier has learned from were not left out: ${lacks}`,
  };
}
