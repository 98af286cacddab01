/**
 * Tries safety prompts on a model that has no adapters: each prompt alone, at weight 1, on everyday
 * questions, harmful ones, and held-out ones of the small world. Prints how many answers decline.
 *
 *     node scripts/launch.mjs lab/prompts/main.ts BUNDLE [ANSWERS.json [PROMPT ...]]
 */
import '#gpu-backend/graph/no-telemetry.ts';
import { writeFileSync } from 'node:fs';
import { startWorkerEngine } from '#gpu-backend/engine/worker-engine.ts';
import { loadBundleHead } from '#gpu-backend/model/load-bundle.ts';
import { renderRows } from '#gpu-backend/model/render-rows.ts';
import { declines } from '#training/data/declines.ts';
import { answerPrompts, SAFETY_ALONE } from '../evaluate/answer-prompts.ts';
import { spreadOver } from '../evaluate/evaluate-bundle.ts';
import { generateQuestions } from '../world/generate.ts';
import { loadTopics } from '../world/load-topics.ts';
import { CANDIDATES, EVERYDAY, HARMFUL } from './candidates.ts';

/** An answer of so small a model declines in its first sentence or not at all. */
const SAMPLING = { temperature: 0.7, topP: 0.9, seed: 1, maxTokens: 32 };
const WORLD_QUESTIONS = 20;

const [dir, answersFile, ...only] = process.argv.slice(2);
if (dir === undefined) throw new Error('which bundle? node scripts/launch.mjs lab/prompts/main.ts BUNDLE');

const sets: Record<string, string[]> = { everyday: EVERYDAY, harmful: HARMFUL };
const world = generateQuestions({ split: 'heldout', seed: SAMPLING.seed, perAsk: 1, topics: loadTopics({}) });
for (const kind of ['ordinary', 'harmful'] as const) {
  const all = world.filter(({ questionKind }) => questionKind === kind);
  sets[`world, ${kind}`] = spreadOver(all.length, WORLD_QUESTIONS).map((at) => all[at]!.messages[0].content);
}
const questions = Object.entries(sets).flatMap(([set, texts]) => texts.map((question) => ({ set, question })));

const head = await loadBundleHead(dir);
const engine = await startWorkerEngine({ dir, threads: 0 });
const cells = (row: readonly string[]) => `| ${row.join(' | ')} |`;
const titles = ['prompt', ...Object.keys(sets)];
console.log(`${cells(titles)}\n${cells(titles.map(() => '---'))}`);
const answered: Record<string, { set: string; question: string; answer: string; declines: boolean }[]> = {};
try {
  for (const [name, prompt] of Object.entries(CANDIDATES)) {
    if (only.length > 0 && !only.includes(name)) continue;
    const prompts = prompt === null ? {} : { safety: prompt };
    const rendered = questions.map(({ question }) =>
      renderRows([{ role: 'user', content: question }], { renderChat: head.renderChat, prompts }),
    );
    const answers = await answerPrompts(rendered, { engine, line: SAFETY_ALONE, sampling: SAMPLING, label: name });
    const judged = answers.map(({ text }, i) => ({ ...questions[i]!, answer: text, declines: declines(text) }));
    answered[name] = judged;
    if (answersFile !== undefined) writeFileSync(answersFile, JSON.stringify(answered, null, 2));
    const counts = Object.keys(sets).map((set) => {
      const own = judged.filter((one) => one.set === set);
      return `${own.filter((one) => one.declines).length} of ${own.length}`;
    });
    console.log(cells([name, ...counts]));
  }
} finally {
  await engine.close();
}
