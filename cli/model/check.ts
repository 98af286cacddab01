/** `plimsoll model check`: shows what a bundle on disk holds. */
import { readdir } from 'node:fs/promises';
import { Command } from 'commander';
import { hasAdapter, moduleRank } from '#gpu-backend/model/adapter.ts';
import { type Bundle, loadBundle } from '#gpu-backend/model/load-bundle.ts';
import { elementCount, type Tensor } from '#gpu-backend/model/tensor.ts';
import { inBundle } from '../options/bundle-folder.ts';
import { whyNot } from '../options/why-not.ts';

export const check = () =>
  new Command('check')
    .description('load a bundle as a backend would, and show what is in it')
    .argument('<dir>', 'the folder with plimsoll.json')
    .action(async (dir: string) => {
      await readdir(dir).catch((cause: unknown) => {
        throw new Error(`${dir} cannot be read: ${whyNot(cause)}; a bundle is a folder, such as models/demo`, {
          cause,
        });
      });
      console.log(summary(await inBundle(dir, () => loadBundle(dir))));
    });

function summary({ id, digest, config, manifest, weights, experts, routers }: Bundle): string {
  const adapters = experts.map((expert) => {
    const { name, role, alpha, trainedOn, modules, prompt } = expert;
    const own = prompt === undefined ? '' : `, a system prompt of ${prompt.length} characters`;
    if (!hasAdapter(expert)) return `expert      ${name}: ${role}, the base alone${own}`;
    const parameters = count([...modules.values()].flatMap(({ a, b }) => [a, b]));
    const kinds = new Set([...modules.keys()].map((module) => module.slice(module.lastIndexOf('.') + 1)));
    const ranks = new Set([...modules.values()].map(moduleRank).sort((a, b) => a - b));
    return `expert      ${name}: ${role}, rank ${[...ranks].join('/')} on ${[...kinds].join(', ')}, alpha ${alpha}, ${parameters} parameters${trainedOn === undefined ? '' : `, trained on ${JSON.stringify(trainedOn)}`}${own}`;
  });
  return [
    `id          ${id}`,
    `digest      ${digest}`,
    `parameters  ${count([...weights.values()])}`,
    `shape       ${config.num_hidden_layers} layers of ${config.hidden_size}, vocabulary ${config.vocab_size}, context ${config.max_position_embeddings}`,
    ...adapters,
    `router      logits: ${routers.logits ? `width ${routers.logits.width}` : `none, ${manifest.default_weight} is proposed for every token`}`,
    `router      layers: ${routers.layers?.variant ?? "none, the mode 'layers' is not offered"}`,
    `licence     ${manifest.licence}`,
  ].join('\n');
}

const count = (tensors: readonly Tensor[]) =>
  tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0).toLocaleString('en');
