/** `plimsoll eval`: measures the experts of a bundle on held-out questions of the small world. */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Command, Option } from 'commander';
import { BUNDLE_FILES } from '#gpu-backend/model/bundle-files.ts';
import { evaluateBundle, evaluationTable } from '#lab/evaluate/evaluate-bundle.ts';
import { DEMO } from '#lab/methods/recipe.ts';
import { EDITIONS } from '#lab/world/editions.ts';
import { claimFile } from '#training/run/claim-folder.ts';
import { inBundle } from './options/bundle-folder.ts';
import { integer, number } from './options/numbers.ts';

export function evalCommand(): Command {
  return new Command('eval')
    .description(
      "answer held-out questions of the small world with a bundle's experts, alone and at the demo tenants' lines",
    )
    .option('--bundle <dir>', 'the bundle', 'models/demo')
    .addOption(new Option('--edition <name>', 'edition of the small world').choices(EDITIONS).default(DEMO.edition))
    .option('--per-ask <n>', 'questions for each topic and kind', integer, DEMO.perAsk)
    .option('--temperature <x>', 'sampling temperature', number, DEMO.evaluation.temperature)
    .option('--top-p <x>', 'top-p of nucleus sampling', number, DEMO.evaluation.topP)
    .option('--seed <n>', 'seed of the questions and the draws', integer, DEMO.evaluation.seed)
    .option('--max-tokens <n>', 'longest answer, in tokens', integer, DEMO.evaluation.maxTokens)
    .option('--samples <n>', 'questions to show with their answers, spread evenly', integer, 4)
    .option('--json <file>', 'write all figures to this file')
    .option('--force', 'replace the file of --json', false)
    .option('--threads <n>', 'threads to use; 0: all cores', integer, 0)
    .action(async ({ bundle, edition, perAsk, temperature, topP, seed, maxTokens, samples, json, force, threads }) => {
      if (json) claimFile(json, { force });
      const dir = path.resolve(bundle);
      if (!existsSync(path.join(dir, BUNDLE_FILES.manifest))) {
        throw new Error(`there is no bundle in ${dir}; --bundle names the folder of one`);
      }
      const sampling = { temperature, topP, seed, maxTokens };
      const evaluation = await inBundle(dir, () =>
        evaluateBundle({ dir, edition, perAsk, sampling, threads, samples, lines: DEMO.lines }),
      );
      for (const { question, kind, answers } of evaluation.samples) {
        console.log(`${question} (${kind})`);
        for (const [name, text] of Object.entries(answers)) console.log(`  ${name}: ${text}`);
      }
      const { safetyFromHelpfulness, helpfulnessFromSafety } = evaluation.divergence;
      console.log(`\n${evaluation.questions} held-out questions\n${evaluationTable(evaluation.sets)}`);
      console.log(
        `KL(safety || helpfulness) ${safetyFromHelpfulness.toFixed(3)} nats a token, KL(helpfulness || safety) ${helpfulnessFromSafety.toFixed(3)} (estimated at temperature 1)`,
      );
      if (json) await writeFile(json, `${JSON.stringify(evaluation, null, 2)}\n`);
    });
}
