/**
 * The step `data`: places everything in its part of the split, and writes all pairs to choose from,
 * and the prompts that the base will answer.
 */
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import { hashToUnit } from '#training/data/random.ts';
import { replaceFile } from '#training/run/write-file.ts';
import type { TrainingTokenizer } from '#training/tokenizer/chat-files.ts';
import { type Part, SHARES } from '../split/split.ts';
import { loadTopics } from '../world/load-topics.ts';
import { DATA_FILES, type PromptCandidate, readCandidates } from './candidates.ts';
import { inside, type RecipeContext } from './context.ts';
import { everydayPrompts } from './everyday.ts';
import { type PromptRow, pairRow, writeRows } from './recipe-rows.ts';
import { type Settings, STRATA } from './settings.ts';
import { describeSource, REFUSED, SOURCES } from './sources.ts';
import { digestOfFiles, digestOfJson } from './step-records.ts';

export const DATA_OUTPUT = {
  pairs: 'data/pairs.jsonl',
  prompts: 'data/prompts.jsonl',
  report: 'data/report.json',
} as const;

export async function dataInputs({ data, settings, tokenizer }: RecipeContext): Promise<Record<string, unknown>> {
  const { seed, worldPairs, world, prompts, maxPromptTokens } = settings;
  return {
    seed,
    worldPairs,
    world,
    prompts,
    maxPromptTokens,
    tokenizer: tokenizer.digest,
    files: await digestOfFiles(data, DATA_FILES),
    everyday: digestOfJson(everydayPrompts()),
    topics: digestOfJson(loadTopics({ edition: 'whole' })),
    sources: sourcesDigest(),
    split: SHARES,
  };
}

/** Of what the rows take from the table: families and licences, and which sources are refused. */
function sourcesDigest(): string {
  const sources = Object.entries(SOURCES).map(([name, { family, licence }]) => [name, family, licence]);
  return digestOfJson({ sources, refused: Object.keys(REFUSED) });
}

export async function dataStep(context: RecipeContext): Promise<void> {
  const { data, settings, tokenizer } = context;
  const { pairs, prompts, refused, near } = await readCandidates({ data, settings });
  const chosen = choosePrompts(prompts, { settings, tokenizer });
  makeFolder(inside(context, 'data'));
  writeRows(inside(context, DATA_OUTPUT.pairs), pairs.map(pairRow));
  writeRows(inside(context, DATA_OUTPUT.prompts), chosen);
  const report = {
    refused,
    near,
    pairs: countBy(pairs, ({ family }) => family),
    prompts: countBy(chosen, ({ stratum }) => stratum),
  };
  replaceFile(inside(context, DATA_OUTPUT.report), `${JSON.stringify(report, null, 2)}\n`);
}

/** Of the parts train and dev, as many of each stratum as the settings say. A hash chooses. */
function choosePrompts(
  candidates: readonly PromptCandidate[],
  { settings, tokenizer }: { settings: Settings; tokenizer: Pick<TrainingTokenizer, 'renderChat'> },
): PromptRow[] {
  const { seed, maxPromptTokens } = settings;
  const place = ({ prompt }: PromptCandidate) => hashToUnit(`${seed}/prompts/${JSON.stringify(prompt)}`);
  return STRATA.flatMap((stratum) =>
    candidates
      .filter((candidate) => candidate.stratum === stratum && (candidate.part === 'train' || candidate.part === 'dev'))
      .toSorted((a, b) => place(a) - place(b))
      .filter(({ prompt }) => tokenizer.renderChat(prompt).length <= maxPromptTokens)
      .slice(0, settings.prompts[stratum])
      .map((candidate) => ({ ...candidate, licence: describeSource(candidate.source).licence })),
  );
}

function countBy<T extends { part: Part }>(rows: readonly T[], nameOf: (row: T) => string) {
  const counts: Record<string, Record<Part, number>> = {};
  for (const row of rows) {
    const own = counts[nameOf(row)] ?? { train: 0, judge: 0, dev: 0, test: 0 };
    counts[nameOf(row)] = own;
    own[row.part]++;
  }
  return counts;
}
