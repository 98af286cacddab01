/** One route as the OpenAPI document shows it. */
import type * as z from 'zod';

/**
 * Who may call it: anyone, a tenant's key, the operator's key, or the operator's and a key of the
 * tenant in the path that has the scope. `spend` is both `admin` and `inference`,
 * `prompts` both `admin` and `prompts`.
 */
export type Access = 'anyone' | 'key' | 'operator' | 'read' | 'admin' | 'spend' | 'prompts';

export type Operation = {
  summary: string;
  access: Access;
  query?: z.ZodObject | z.ZodType<object>;
  body?: z.ZodType;
  /** The content type of the body; `application/json` if it is left out. */
  bodyType?: string;
  /** Optional headers of the request: what each is for. */
  takes?: Readonly<Record<string, string>>;
  /** Headers of a good answer. */
  gives?: Readonly<Record<string, z.ZodType>>;
  /** Whether it takes `If-Match`. `demanded`: it overwrites nothing without. */
  ifMatch?: 'taken' | 'demanded';
  /** The status of a good answer. */
  status?: 200 | 201;
  /** By content type. */
  answers: Readonly<Record<string, z.ZodType | null>>;
};

/** As in `GET /v1/models/:id{.+}`: the method and the path, as the routes have them. */
export type Operations = Readonly<Record<string, Operation>>;

/** An answer in JSON. */
export const json = (schema: z.ZodType | null) => ({ 'application/json': schema });
