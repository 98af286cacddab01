/** `plimsoll model import`: makes a bundle from a checkpoint that the user has. */
import { stat } from 'node:fs/promises';
import { Command, Option } from 'commander';
import type { ExpertSource } from '#gpu-backend/import/expert-source.ts';
import { importModel } from '#gpu-backend/import/import-model.ts';
import { hasOwnExperts } from '#gpu-backend/import/midpo-source.ts';
import { SAFETY_PROMPT_FILE } from '#gpu-backend/import/safety-prompt.ts';
import { WEIGHTS, type Weights } from '#gpu-backend/import/weight-plan.ts';
import { cleanPrompt } from '#gpu-backend/model/expert-prompt.ts';
import { ARITHMETICS, type Arithmetic } from '#gpu-backend/model/manifest.ts';
import { megabytes } from '../options/byte-progress.ts';
import { importProgress } from '../options/import-progress.ts';
import { untilSignal } from '../options/until-signal.ts';
import { idOf, modelId } from './model-id.ts';
import { readWords } from './read-words.ts';

type Flags = {
  safety?: string[];
  helpfulness?: string[];
  experts?: string;
  router?: string;
  weights?: Weights;
  arithmetic?: Arithmetic;
  shareBase?: boolean;
  chatTemplate?: string;
  id?: string;
  licence?: string;
  out?: string;
  force?: boolean;
};

const PROMPT = 'prompt';
const EXPERT = 'an adapter folder of PEFT, prompt:FILE (a system prompt), or base; twice: an adapter and a prompt';

/** Collects the values of an option that may be given twice. */
const both = (value: string, before: string[] = []) => [...before, value];

export const importCommand = () =>
  new Command('import')
    .description('make a bundle from a model: a Hugging Face folder or a GGUF file, with two experts')
    .argument('<source>', 'a folder with config.json, tokenizer.json and safetensors, or a .gguf file')
    .option(
      '--safety <expert>',
      `the safety expert (required, unless the model has two of its own): ${EXPERT}; "prompt" alone is a prompt that comes with Plimsoll`,
      both,
    )
    .addOption(new Option('--helpfulness <expert>', 'the helpfulness expert, likewise (default: base)').argParser(both))
    .option(
      '--experts <dir>',
      'both experts, and routers, in the folder of plimsoll train export --experts-only; only for the model that ' +
        'they were trained on',
    )
    .option(
      '--router <path>',
      "learned routers: a bundle that has some, a folder with their files, or MidPO's router.pth as safetensors",
    )
    .addOption(
      new Option('--weights <type>', 'by default as in the file, and f32 if that is quantised').choices(WEIGHTS),
    )
    .addOption(
      new Option(
        '--arithmetic <kind>',
        'how int8 and int4 are multiplied: as f32 would, faster for few rows and less exactly, or prompts exact ' +
          'and answers fast, which takes more memory (default: exact)',
      ).choices(ARITHMETICS),
    )
    .option('--share-base', 'keep the weights in the cache folder, where bundles of the same base share them')
    .option('--chat-template <file>', "Jinja, instead of the model's own chat template")
    .option('--id <id>', 'the model id that clients use (default: the name of the folder)', modelId)
    .option('--licence <spdx>', "the weights' licence (default: what the model says)")
    .option('--out <dir>', 'the new bundle (required)')
    .option('--force', 'replace the bundle in --out')
    .action(run);

async function run(source: string, flags: Flags): Promise<void> {
  const { safety, helpfulness, experts: expertsFolder, router, chatTemplate, out, ...rest } = flags;
  if (out === undefined) throw new Error('--out is missing: the folder of the new bundle, as in --out my-model');
  const id = flags.id ?? idOf(out);
  if (expertsFolder !== undefined) refuseBeside({ safety, helpfulness, router });
  const own = safety === undefined && helpfulness === undefined && (await hasOwnExperts(source));
  if (safety === undefined && expertsFolder === undefined && !own) throw new Error(needsSafety(source, out));
  if (rest.arithmetic !== undefined && rest.weights !== 'int8' && rest.weights !== 'int4') {
    throw new Error('--arithmetic is for quantised weights: give --weights int8 or int4 too, or leave it out');
  }
  const show = importProgress();
  try {
    const options = {
      ...rest,
      ...{ source, out, id, routers: router, expertsFolder },
      ...(safety !== undefined && {
        experts: {
          safety: await expertOf('--safety', safety),
          helpfulness: await expertOf('--helpfulness', helpfulness ?? ['base']),
        },
      }),
      ...(chatTemplate !== undefined && { chatTemplate: await readWords('--chat-template', chatTemplate) }),
      onProgress: show.update,
    };
    const { digest, bytes } = await untilSignal(`stopped; the same command goes on from ${out}.partial`, (signal) =>
      importModel({ ...options, signal }),
    );
    show.stop();
    console.log(`${out} holds the model ${id}, ${megabytes(bytes)} MB of weights, digest ${digest}`);
    console.log(`serve it: npx plimsoll serve --bundle ${out}`);
  } finally {
    show.stop();
  }
}

function refuseBeside(others: Readonly<Record<string, unknown>>): void {
  const found = Object.entries(others).find(([, value]) => value !== undefined);
  if (found === undefined) return;
  throw new Error(
    `--${found[0]}: found beside --experts, which brings both experts and the routers; give one or the other`,
  );
}

async function expertOf(flag: string, given: readonly string[]): Promise<ExpertSource> {
  const expert: { adapter?: string; prompt?: string } = {};
  for (const value of given) {
    if (value === 'base') {
      if (given.length > 1) throw new Error(`${flag} base stands alone: the base has neither adapter nor prompt`);
    } else if (value === PROMPT || value.startsWith(`${PROMPT}:`)) {
      if (expert.prompt !== undefined) throw new Error(`${flag}: found two prompts, wanted one`);
      const file = value === PROMPT ? SAFETY_PROMPT_FILE : value.slice(PROMPT.length + 1);
      expert.prompt = cleanPrompt(await readWords(flag, file), `${flag}: ${file}`);
    } else {
      if (expert.adapter !== undefined) throw new Error(`${flag}: found two adapters, wanted one`);
      expert.adapter = value;
    }
  }
  if (expert.adapter !== undefined) await checkAdapterFolder(flag, expert.adapter);
  return expert;
}

/** What else an adapter must be, the import says. */
async function checkAdapterFolder(flag: string, folder: string): Promise<void> {
  const found = await stat(folder).catch(() => null);
  if (found?.isFile()) {
    throw new Error(`${flag}: ${folder} is a file; if it is a system prompt, say ${PROMPT}:${folder}`);
  }
  if (found?.isDirectory()) return;
  throw new Error(
    `${flag}: there is no folder ${folder}; an expert is prompt, prompt:FILE, base, or the folder of a LoRA adapter`,
  );
}

function needsSafety(source: string, out: string): string {
  return (
    '--safety is missing: every line is measured from the safety expert, so no one can choose it but you. Give an ' +
    "adapter's folder, prompt:FILE with a system prompt of your own, or prompt for the one that comes with Plimsoll " +
    `(${SAFETY_PROMPT_FILE}):\n  npx plimsoll model import ${source} --safety prompt --out ${out}`
  );
}
