/** Asks a bundle a user's own prompts, and compares its experts on the user's own pairs. */
import '#gpu-backend/graph/no-telemetry.ts';
import { startWorkerEngine } from '#gpu-backend/engine/worker-engine.ts';
import { loadBundleHead } from '#gpu-backend/model/load-bundle.ts';
import type { Line } from '#shared/line/line.ts';
import type { Message } from '#shared/protocol/generate.ts';
import { type Dimension, PREFERENCE_LAYOUTS } from '#training/data/preferences.ts';
import { splitName } from '#training/data/split-name.ts';
import { openTokenizer, readChatFiles } from '#training/tokenizer/chat-files.ts';
import type { AnswerFigures } from './answer-figures.ts';
import type { Sampling } from './answer-prompts.ts';
import { answerOwnPrompts } from './own-answers.ts';
import { type PairAccuracy, pairAccuracy, scoreOwnPairs } from './pair-accuracy.ts';

export type OwnEvaluation = {
  /** The bundle's digest. */
  bundle: string;
  sampling: Sampling;
  /** By the name of a line. */
  answers: Record<string, AnswerFigures>;
  /** By file and dimension. */
  pairs: Record<string, PairAccuracy>;
};

export type OwnOptions = {
  dir: string;
  /** Null: none. `file` is where the answers go. */
  prompts: { messages: readonly Message[][]; lines: Readonly<Record<string, Line>>; file: string } | null;
  /** Each one is `LAYOUT:FILE`. */
  pairs: readonly string[];
  /** What was judged in layouts that do not say. */
  judged: Dimension;
  sampling: Sampling;
  threads: number;
};

/** Writes on stderr how many pairs were left out, and why. */
export async function evaluateOwn({
  dir,
  prompts,
  pairs,
  judged,
  sampling,
  threads,
}: OwnOptions): Promise<OwnEvaluation> {
  const head = await loadBundleHead(dir);
  const engine = await startWorkerEngine({ dir, threads });
  try {
    const answers =
      prompts === null
        ? {}
        : await answerOwnPrompts({
            engine,
            head,
            prompts: prompts.messages,
            lines: prompts.lines,
            sampling,
            file: prompts.file,
          });
    const accuracies: Record<string, PairAccuracy> = {};
    const encoder = openTokenizer(await readChatFiles(dir));
    for (const name of pairs) {
      const [layout, file] = splitName(name, PREFERENCE_LAYOUTS);
      const preferences = await Array.fromAsync(PREFERENCE_LAYOUTS[layout](file, { dimension: judged }));
      const dimensions = (['safer', 'better'] as const).filter((key) => preferences.some((pair) => pair[key] !== null));
      if (dimensions.length === 0)
        throw new Error(`${file}: none of its ${preferences.length} pairs says which answer is better or safer`);
      for (const dimension of dimensions) {
        const label = `${file}, ${dimension}`;
        const { scored, leftOut } = await scoreOwnPairs(preferences, { engine, encoder, dimension, label });
        process.stderr.write(`${label}: ${scored.length} pairs; left out: ${leftOut}\n`);
        accuracies[label] = pairAccuracy(scored);
      }
    }
    return { bundle: engine.info.digest, sampling, answers, pairs: accuracies };
  } finally {
    await engine.close();
  }
}
