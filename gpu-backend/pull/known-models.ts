/**
 * The models that have a name here. One name is one file with one SHA-256. To add a model, add an
 * entry to `known-models.json`; take every checksum from a file that you have.
 */
import * as z from 'zod';
import { Sha256Sum } from '../model/checksum.ts';
import table from './known-models.json' with { type: 'json' };

const bytes = z.number().int().positive();
const { sha256 } = Sha256Sum.shape;

export const KnownModel = z.strictObject({
  what: z.string(),
  /** The SPDX name of the licence. */
  licence: z.string(),
  file: z.strictObject({ name: z.string(), bytes, sha256 }),
  /** The Python wheel that has the file among its members. */
  wheel: z.strictObject({ package: z.string(), version: z.string(), bytes, sha256, member: z.string() }).nullable(),
  /**
   * The folder with our experts for it (experts-folder.ts), from the root of the repository. While
   * there is no such folder, its safety expert is a prompt.
   */
  experts: z.string().optional(),
  /** The system prompt of its safety expert. Left out, it is the one of `--safety prompt`. */
  safety_prompt: z.string().optional(),
  /**
   * The same file on the hub, for those who have no Python. Null where nobody has checked that the
   * hub has just these bytes, which is so for every model that is listed now.
   */
  hub: z.strictObject({ repo: z.string(), commit: z.string().regex(/^[0-9a-f]{40}$/), path: z.string() }).nullable(),
});
export type KnownModel = z.infer<typeof KnownModel>;

export const KNOWN_MODELS: Readonly<Record<string, KnownModel>> = z.record(z.string(), KnownModel).parse(table);

/** Throws an error that lists the known models if `name` is none of them. */
export function knownModel(name: string, models = KNOWN_MODELS): KnownModel {
  const model = Object.hasOwn(models, name) ? models[name] : undefined;
  if (model !== undefined) return model;
  const known = Object.keys(models).join(', ');
  // Without leading dots: those are paths.
  const meant = /^\w[\w.-]*\/\w[\w.-]*$/.test(name) ? `; did you mean hub:${name}@main?` : '';
  throw new Error(
    `there is no model called "${name}" here${meant || `; there is ${known}, and any other comes from the hub, as hub:<owner>/<repository>@<revision>`}`,
  );
}
