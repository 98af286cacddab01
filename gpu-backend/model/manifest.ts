/**
 * `plimsoll.json`: what a bundle is beyond its weights. The format is ours, so unknown keys are
 * refused.
 */
import * as z from 'zod';
import { Sampling } from '#shared/api/sampling.ts';

/** Raised when an old reader would misread a new bundle. */
export const BUNDLE_FORMAT = 1;

export const ExpertRole = z.enum(['safety', 'helpfulness']);
export type ExpertRole = z.infer<typeof ExpertRole>;

/**
 * How products with quantised weights are computed: as in f32, with activations in 8 bits, or the
 * first for prompts and the second for answers.
 */
export const ARITHMETICS = ['exact', 'fast', 'mixed'] as const;
export type Arithmetic = (typeof ARITHMETICS)[number];

export const Sha256 = z.string().regex(/^[0-9a-f]{64}$/);

/** Something that weights were made from. */
export const DataSource = z.strictObject({
  name: z.string().min(1),
  licence: z.string().min(1),
  source: z.string().optional(),
});

/** A file that an import has read. */
export const SourceFile = z.strictObject({ name: z.string().min(1), bytes: z.int().min(0), sha256: Sha256 });
export type SourceFile = z.infer<typeof SourceFile>;

const ExpertEntry = z.strictObject({
  /** The folder under `experts/`. */
  name: z.string().regex(/^[a-z0-9][a-z0-9_-]*$/, 'an expert is named in lower-case letters, digits, - and _'),
  role: ExpertRole,
  /** Whether its folder holds a LoRA. Left out, it does. */
  adapter: z.boolean().optional(),
  /** Whether its folder holds a system prompt (expert-prompt.ts). Left out, it does not. */
  prompt: z.boolean().optional(),
});

export const Manifest = z
  .strictObject({
    format: z.literal(BUNDLE_FORMAT),
    /** The model id that clients use. */
    id: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._/-]*$/),
    experts: z.array(ExpertEntry),
    /**
     * The learned routers in `routers/` (router.ts). null means none; it is the only value that the
     * first readers of this format accept.
     */
    router: z
      .strictObject({
        layers: z.strictObject({ variant: z.enum(['faithful', 'corrected']) }).optional(),
        /** `width`: m, the number of hidden units. */
        logits: z.strictObject({ width: z.int().min(1) }).optional(),
      })
      .refine(({ layers, logits }) => layers !== undefined || logits !== undefined, {
        error: "names no router, wanted 'layers', 'logits' or both (or null: no router)",
      })
      .nullable(),
    /**
     * The probes in `probes/` (probe.ts). A version is the first 12 hex digits of the SHA-256 over
     * the bytes of second-look.json and second-look.safetensors.
     */
    probes: z.strictObject({ second_look: z.strictObject({ version: z.string().regex(/^[0-9a-f]{12}$/) }) }).optional(),
    /**
     * The heads in `scores/` (score-heads.ts). `adapter`: whether one has a LoRA. Left out, it has.
     */
    scores: z
      .strictObject({
        reward: z.strictObject({ adapter: z.boolean().optional() }),
        cost: z.strictObject({ adapter: z.boolean().optional() }),
      })
      .optional(),
    /** The safety weight proposed for every token if there is no logits router. */
    default_weight: z.number().min(0).max(1),
    /**
     * How answers are drawn where a client names nothing. If it is there, generation_config.json
     * has no say in it. What neither names is plain sampling.
     */
    sampling: Sampling.partial().optional(),
    /** How the matrices in model.safetensors are quantised (quantise.ts). Floats have no entry. */
    weights: z
      .strictObject({
        type: z.enum(['int8', 'int4']),
        block: z.literal(32),
        arithmetic: z.enum(ARITHMETICS),
      })
      .optional(),
    /**
     * `model.safetensors` is not in the folder but in the cache, where bundles share it
     * (shared-base.ts).
     */
    base: z.strictObject({ sha256: Sha256, bytes: z.int().min(1) }).optional(),
    /**
     * The experts run on engines of other people (gpu-backend/remote), so the folder holds no
     * weights. `top_k`: k, how many of the likeliest tokens an engine tells. Answers depend on it,
     * and the budget is promised against the safety expert under its own top-k.
     */
    remote: z.strictObject({ top_k: z.int().min(1).max(1024) }).optional(),
    /** SPDX identifier of the weights' licence. */
    licence: z.string().min(1),
    provenance: z.strictObject({
      /** How the weights were made: commands, seeds, steps. */
      description: z.string().min(1),
      data: z.array(DataSource),
      /** The files that an import has read. */
      files: z.array(SourceFile).optional(),
      /** The folder that experts and routers come from (experts-folder.ts). */
      experts: z
        .strictObject({
          /** Of the folder. */
          digest: Sha256,
          /** The SHA-256 of the `model.safetensors` that they were trained on. */
          base: Sha256,
          licence: z.string().min(1),
          description: z.string().min(1),
        })
        .optional(),
    }),
  })
  .superRefine(checkAdditions)
  .superRefine(checkRemote);
export type Manifest = z.infer<typeof Manifest>;

/** What a strict object cannot say about experts and routers. For `superRefine`. */
export function checkAdditions(
  { experts, router }: { experts: readonly z.infer<typeof ExpertEntry>[]; router: { layers?: unknown } | null },
  context: z.RefinementCtx,
): void {
  for (const role of ExpertRole.options) {
    const found = experts.filter((expert) => expert.role === role).length;
    if (found !== 1) {
      context.addIssue({
        code: 'custom',
        path: ['experts'],
        message: `found ${found} experts with the role ${role}, wanted 1`,
      });
    }
  }
  if (new Set(experts.map((expert) => expert.name)).size !== experts.length) {
    context.addIssue({ code: 'custom', path: ['experts'], message: 'two experts have the same name' });
  }
  experts.forEach(({ prompt }, i) => {
    if (!prompt || router?.layers === undefined) return;
    context.addIssue({
      code: 'custom',
      path: ['experts', i, 'prompt'],
      message: 'found true, wanted false or no layers router: that router mixes experts that read the same prompt',
    });
  });
}

/** Whatever needs the weights, or what they compute besides log-probabilities. */
const NEEDS_WEIGHTS = ['router', 'probes', 'scores', 'weights', 'base'] as const;

function checkRemote(
  manifest: { remote?: unknown } & Partial<Record<string, unknown>>,
  context: z.RefinementCtx,
): void {
  if (manifest.remote === undefined) return;
  for (const key of NEEDS_WEIGHTS) {
    if (manifest[key] == null) continue;
    const message =
      'found one, wanted none: the experts of this bundle run on engines elsewhere, which tell only tokens';
    context.addIssue({ code: 'custom', path: [key], message });
  }
}
