/**
 * Makes experts, routers and a probe for SmolLM2-135M-Instruct, or for another bundle, step by
 * step. Every step leaves a record, so the same command goes on with a stopped run, wherever it was
 * stopped.
 */
import path from 'node:path';
import { claimFolder, type FolderKind } from '#training/run/claim-folder.ts';
import { jsonOf } from '#training/run/folder-contents.ts';
import { replaceFile } from '#training/run/write-file.ts';
import { openContext, type RecipeContext, type RecipeFolders } from './context.ts';
import { planOf, planTable } from './plan.ts';
import type { Settings } from './settings.ts';
import { doStep, forgetStep, isDone } from './step-records.ts';
import { STEPS, type StepName } from './steps.ts';

/** Made before anything else. It tells the recipe's folder from others. */
const RECIPE_FILE = 'recipe.json';
const RECIPE = 'smollm2';

const RECIPE_FOLDER: FolderKind = {
  what: 'a folder of train smollm2',
  isOurs: (dir) => jsonOf(path.join(dir, RECIPE_FILE))?.recipe === RECIPE,
  holds: null,
};

/** Whether this command made the folder. */
export function isRecipeFolder(dir: string): boolean {
  return RECIPE_FOLDER.isOurs(dir);
}

export type RecipeOptions = RecipeFolders & {
  threads: number;
  settings: Settings;
  /** Print the plan and stop. */
  planOnly?: boolean;
  /** The last step to do; all if left out. */
  until?: StepName | undefined;
  /** Do this step and everything that builds on it again. */
  redo?: StepName | undefined;
  /**
   * Does one step in a process of its own, so that each gives all its memory back. Left out: in
   * this one.
   */
  elsewhere?: ((name: StepName) => Promise<void>) | undefined;
  print?: (text: string) => void;
};

export async function trainSmollm2(options: RecipeOptions): Promise<void> {
  const { planOnly = false, until, redo, elsewhere, print = console.log, ...given } = options;
  const plan = planOf(given.settings);
  if (planOnly) {
    print(planTable(plan));
    return;
  }
  const out = openFolder(given.out);
  const context = await openContext({ ...given, out });
  const dir = out;
  if (redo !== undefined) print(`forgotten: ${forgetStep(redo, { dir, steps: STEPS }).join(', ')}`);
  const wanted = STEPS.slice(0, until === undefined ? undefined : STEPS.findIndex(({ name }) => name === until) + 1);
  const done = new Set<StepName>();
  for (const step of wanted) {
    // A step with an unfinished need cannot be looked at, and is unfinished itself.
    if (step.needs.every((need) => done.has(need)) && (await isDone(step, { dir, context }))) done.add(step.name);
  }
  print(planTable(plan, done));
  for (const step of wanted) {
    if (done.has(step.name)) continue;
    print(`step ${step.name}`);
    if (elsewhere) await elsewhere(step.name);
    else await doStep(step, { dir, context });
  }
}

/** Does one step whose needs are done. */
export async function trainOneStep(
  name: StepName,
  given: RecipeFolders & { threads: number; settings: Settings },
): Promise<void> {
  const out = openFolder(given.out);
  const context: RecipeContext = await openContext({ ...given, out });
  const step = STEPS.find((step) => step.name === name)!;
  if (await isDone(step, { dir: out, context })) return;
  await doStep(step, { dir: out, context });
}

function openFolder(dir: string): string {
  const out = claimFolder(dir, { kind: RECIPE_FOLDER, resume: true });
  const file = path.join(out, RECIPE_FILE);
  if (jsonOf(file) === null) replaceFile(file, `${JSON.stringify({ recipe: RECIPE }, null, 2)}\n`);
  return out;
}
