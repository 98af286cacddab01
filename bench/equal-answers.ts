/**
 * How often do equal requests get equal answers? We send many requests, each once alone in the
 * batch, once with sixteen in the batch, once alone after the beginning of its prompt has been
 * kept, and once alone with drafts (answers that repeat themselves are read ahead). The draws are
 * the same, but the last bits of the logits depend on the other requests in the batch, and on which
 * tokens were read together. So a draw that falls right between two tokens may pick the other one.
 * Written down before measuring: one answer in a hundred differs, at temperature 1 and some 50
 * tokens, as many with a kept beginning, and not more with drafts.
 */

import type { Engine, EngineRequest } from '#gpu-backend/engine/engine.ts';
import { startWorkerEngine } from '#gpu-backend/engine/worker-engine.ts';
import { loadBundleHead } from '#gpu-backend/model/load-bundle.ts';
import { renderRows } from '#gpu-backend/model/render-rows.ts';
import { generateQuestions } from '#lab/world/generate.ts';
import { loadTopics } from '#lab/world/load-topics.ts';
import { seedKey } from '#shared/gate/index.ts';
import { OPEN_LINE } from '#shared/line/line.ts';

const ANSWERS = 480;
const CROWD = 16;
const MAX_TOKENS = 60;

export async function benchEqualAnswers({ bundle }: { bundle: string }): Promise<Record<string, number>> {
  const head = await loadBundleHead(bundle);
  const questions = generateQuestions({ split: 'heldout', seed: 11, perAsk: 1, topics: loadTopics() });
  const requests = Array.from({ length: ANSWERS }, (_, seed): EngineRequest => {
    const { messages } = questions[seed % questions.length]!;
    return {
      tenant: 'bench',
      ...renderRows(messages, head),
      maxTokens: MAX_TOKENS,
      stop: [],
      sampling: { key: seedKey(seed), temperature: 1, topP: 1 },
      line: OPEN_LINE,
    };
  });
  const start = (speculation: boolean) =>
    startWorkerEngine({ dir: bundle, threads: 0, limits: { maxRows: 2 * CROWD, speculation } });
  const engine = await start(false);
  const [alone, again, crowd] = [
    await answersOf(engine, requests, 1),
    await answersOf(engine, requests, 1),
    await answersOf(engine, requests, CROWD),
  ];
  await engine.close();
  const remembering = await startWorkerEngine({ dir: bundle, threads: 0, limits: { prefixBytes: 2 ** 28 } });
  await answersOf(remembering, requests, 1);
  const recalled = await answersOf(remembering, requests, 1);
  const { foundTokens, queriedTokens } = remembering.stats().prefixes;
  await remembering.close();
  const drafting = await start(true);
  const drafted = await answersOf(drafting, requests, 1);
  await drafting.close();

  const differing = (a: Answers, b: Answers) => a.ids.filter((ids, i) => ids !== b.ids[i]).length;
  console.log(`\nequal requests, equal answers? ${ANSWERS} of at most ${MAX_TOKENS} tokens, temperature 1, no line`);
  console.log(`  alone and alone again: ${differing(alone, again)} differ`);
  console.log(`  alone and in a crowd of ${CROWD}: ${differing(alone, crowd)} differ`);
  console.log(`  alone and after a kept beginning: ${differing(alone, recalled)} differ`);
  console.log(`    (${foundTokens} of ${queriedTokens} prompt tokens were found, in both times together)`);
  const { drafted: read, accepted } = drafted;
  console.log(
    `  alone and alone with drafts (${read} read one, and ${accepted} tokens were guessed right): ${differing(alone, drafted)} differ`,
  );
  return {
    'equal answers: % that differ, alone twice': (100 * differing(alone, again)) / ANSWERS,
    [`equal answers: % that differ, alone and among ${CROWD}`]: (100 * differing(alone, crowd)) / ANSWERS,
    'equal answers: % that differ, alone and after a kept beginning': (100 * differing(alone, recalled)) / ANSWERS,
    'equal answers: % that differ, alone without drafts and with': (100 * differing(alone, drafted)) / ANSWERS,
  };
}

type Answers = {
  /** The token ids of each answer. */
  ids: string[];
  /** How many answers read a draft. */
  drafted: number;
  /** How many tokens of all drafts were drawn. */
  accepted: number;
};

/** Answers all requests, with `atOnce` of them in the batch. */
async function answersOf(engine: Engine, requests: readonly EngineRequest[], atOnce: number): Promise<Answers> {
  const answers: Answers = { ids: [], drafted: 0, accepted: 0 };
  const waiting = requests.entries();
  // As with real clients, each answer that ends makes room for the next request. So batches have
  // all sizes, and prompts join midway.
  const client = async () => {
    for (const [i, request] of waiting) {
      const ids: number[] = [];
      for await (const event of engine.generate(request)) {
        if (event.type === 'token') ids.push(event.id);
        if (event.type !== 'end') continue;
        const details = event.usage.completion_tokens_details;
        if (details) answers.drafted++;
        answers.accepted += details?.accepted_prediction_tokens ?? 0;
      }
      answers.ids[i] = ids.join();
    }
  };
  await Promise.all(Array.from({ length: atOnce }, client));
  return answers;
}
