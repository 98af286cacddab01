/** What each part of the page is about: a tenant, a version of its policy, and how things stand. */
import type * as z from 'zod';
import type { HistoryAnswer, TenantAnswer } from '../../../control/admin-answers.ts';

type History = z.infer<typeof HistoryAnswer>;

export type Place = {
  /** Of the tenant. */
  id: string;
  /** Its routes. */
  at: string;
  tenant: TenantAnswer;
  history: History;
  /** What a change has to name, so that it overwrites no other. */
  revision: string;
  /** The version that is looked at. */
  version: string;
  /** Asks how things stand anew. */
  again: () => void;
};

export type PartProps = { place: Place };

/** In an address, whichever version is active. */
export const ACTIVE = 'active';

/** The address of a part, for `go`, `follow` and `addressOf`. */
export function pathTo({
  id,
  version,
  active,
  part,
}: {
  id: string;
  version: string;
  active: string;
  /** '' is the document. */
  part: string;
}): string[] {
  const named = version === active ? ACTIVE : version;
  if (part !== '') return ['policies', id, named, part];
  return named === ACTIVE ? ['policies', id] : ['policies', id, named];
}

/** As people tell versions apart. */
export const short = (version: string) => version.slice(0, 8);
