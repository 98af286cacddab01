/** `plimsoll model remote`: makes a bundle whose experts run on other engines. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { type RemoteExpert, writeRemoteBundle } from '#gpu-backend/import/write-remote-bundle.ts';
import { cleanPrompt } from '#gpu-backend/model/expert-prompt.ts';
import { idOf, modelId } from './model-id.ts';
import { readWords } from './read-words.ts';

type Kind = 'adapter' | 'base';

type Flags = {
  out?: string;
  id?: string;
  topK: number;
  safety: Kind;
  helpfulness: Kind;
  safetyPrompt?: string;
  helpfulnessPrompt?: string;
  chatTemplate?: string;
  licence?: string;
  force?: boolean;
};

const MOST_TOP_K = 1024;

export const remote = () =>
  new Command('remote')
    .description('make a bundle without weights, whose experts run on vLLM, SGLang or llama.cpp')
    .argument('<source>', "a folder with the model's config.json, tokenizer.json and tokenizer_config.json")
    .addOption(
      new Option('--safety <kind>', 'what the safety expert is on its engine')
        .choices(['adapter', 'base'])
        .default('adapter'),
    )
    .addOption(
      new Option('--helpfulness <kind>', 'what the helpfulness expert is on its engine')
        .choices(['adapter', 'base'])
        .default('base'),
    )
    .option('--safety-prompt <file>', "a system prompt of the safety expert's own")
    .option('--helpfulness-prompt <file>', "a system prompt of the helpfulness expert's own")
    .option('--top-k <k>', 'how many of the likeliest tokens an engine tells; vLLM allows 20 unless told', topK, 20)
    .option('--chat-template <file>', "Jinja, instead of the model's own chat template")
    .option('--id <id>', 'the model id that clients use (default: the name of the folder)', modelId)
    .option('--licence <spdx>', "the weights' licence (default: what the model says)")
    .option('--out <dir>', 'the new bundle (required)')
    .option('--force', 'replace the bundle in --out')
    .addHelpText('after', '\ndocs/scaling.md says how to serve it.')
    .action(run);

async function run(source: string, flags: Flags): Promise<void> {
  const { out, safety, helpfulness, safetyPrompt, helpfulnessPrompt, chatTemplate, ...rest } = flags;
  if (out === undefined) throw new Error('--out is missing: the folder of the new bundle, as in --out my-model');
  const id = flags.id ?? idOf(out);
  const experts = {
    safety: await expertOf(safety, '--safety-prompt', safetyPrompt),
    helpfulness: await expertOf(helpfulness, '--helpfulness-prompt', helpfulnessPrompt),
  };
  if (safety === 'base' && safetyPrompt === undefined) {
    throw new Error('--safety base needs --safety-prompt: without it, the safety expert is the bare model');
  }
  const { digest } = await writeRemoteBundle({
    ...rest,
    ...{ source, out, id, experts },
    ...(chatTemplate !== undefined && { chatTemplate: await readWords('--chat-template', chatTemplate) }),
  });
  console.log(`${out} holds the model ${id} without weights, digest ${digest}`);
  console.log(`say in a file where its experts run (docs/scaling.md), and try it:`);
  console.log(`  npx plimsoll model check ${out} --engines engines.json`);
}

async function expertOf(kind: Kind, flag: string, file: string | undefined): Promise<RemoteExpert> {
  const adapter = kind === 'adapter';
  if (file === undefined) return { adapter };
  return { adapter, prompt: cleanPrompt(await readWords(flag, file), `${flag}: ${file}`) };
}

function topK(text: string): number {
  const k = Number(text);
  if (Number.isSafeInteger(k) && k >= 1 && k <= MOST_TOP_K) return k;
  throw new InvalidArgumentError(`wanted a number of tokens from 1 to ${MOST_TOP_K}`);
}
