/** Writes the bundle that serves a method. */
import { type Expert, NO_ADAPTER } from '#gpu-backend/model/adapter.ts';
import { ExpertRole } from '#gpu-backend/model/manifest.ts';
import { writeBundle } from '#gpu-backend/model/write-bundle.ts';
import { type BaseModel, toHuggingFace } from '#training/stages/base-model.ts';
import { readExpert } from '#training/stages/export.ts';
import { loadRouters } from '#training/stages/router-weights.ts';
import { readChatFiles } from '#training/tokenizer/chat-files.ts';
import type { RunName } from '../../methods/run-names.ts';
import type { BundleRecipe } from './methods.ts';
import { soupOf } from './soup.ts';

/** All but the one that ships, which is there already. */
type BuiltBundle = Exclude<BundleRecipe, { kind: 'shipped' }>;

/** `dirOf` gives the folder of a finished run. Returns the bundle's digest. */
export async function buildBundle(
  recipe: BuiltBundle,
  {
    base,
    tokenizer,
    dirOf,
    defaultWeight,
    out,
  }: { base: BaseModel; tokenizer: string; dirOf: (run: RunName) => string; defaultWeight: number; out: string },
): Promise<string> {
  return writeBundle(out, {
    config: base.config,
    ...(await readChatFiles(tokenizer)),
    weights: toHuggingFace(await base.weights()),
    experts: await expertsOf(recipe, { base, dirOf }),
    routers: await loadRouters(recipe.kind === 'pair' ? recipe.routers.map(dirOf) : [], base),
    manifest: {
      id: 'study',
      licence: 'Apache-2.0',
      default_weight: defaultWeight,
      provenance: { description: `a method of the study: ${JSON.stringify(recipe)}`, data: [] },
    },
  });
}

async function expertsOf(
  recipe: BuiltBundle,
  { base, dirOf }: { base: BaseModel; dirOf: (run: RunName) => string },
): Promise<Expert[]> {
  const read = (run: RunName) => readExpert(dirOf(run), base);
  /** The same expert in both roles. Only one of the two roles is ever used. */
  const alone = (expert: Omit<Expert, 'name' | 'role'>): Expert[] =>
    ExpertRole.options.map((role) => ({ ...expert, name: role, role }));
  switch (recipe.kind) {
    case 'single':
      return alone(recipe.policy === 'base' ? NO_ADAPTER : await read(recipe.policy));
    case 'soup':
      return alone(soupOf(await read(recipe.safety), await read(recipe.helpfulness), recipe.weight));
    case 'pair':
      return [
        await read(recipe.safety),
        recipe.helpfulness === 'base'
          ? { ...NO_ADAPTER, name: 'helpfulness', role: 'helpfulness' }
          : await read(recipe.helpfulness),
      ];
    case 'prompted':
      return ExpertRole.options.map((role) => ({ ...NO_ADAPTER, name: role, role, prompt: recipe[role] }));
  }
}
