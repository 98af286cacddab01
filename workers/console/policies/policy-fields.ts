/** The policy language, as its JSON Schema has it: what may stand where, and what it means. */
import schema from '#policies/policy.schema.json' with { type: 'json' };
import type { JsonPath } from './json-path.ts';

/** As much of JSON Schema as the policy's uses. */
export type FieldSchema = {
  type?: string;
  description?: string;
  default?: unknown;
  enum?: readonly unknown[];
  const?: unknown;
  minimum?: number;
  maximum?: number;
  properties?: Readonly<Record<string, FieldSchema>>;
  items?: FieldSchema;
  anyOf?: readonly FieldSchema[];
  $ref?: string;
};

// The cast: the compiler knows each field of the file by itself. This is what they share.
const ROOT = schema as unknown as FieldSchema & { $defs: Readonly<Record<string, FieldSchema>> };

/** What a document says about itself to editors. */
const OWN = '$schema';

/** null: nothing of the policy language may stand there. */
export function schemaAt(path: JsonPath): FieldSchema | null {
  let at: FieldSchema | undefined = ROOT;
  for (const step of path) {
    const options: FieldSchema[] = optionsOf(at);
    at = options
      .map((option) => (typeof step === 'number' ? option.items : option.properties?.[step]))
      .find((found) => found !== undefined);
    if (at === undefined) return null;
  }
  return at;
}

/** The fields that an object there may have. */
export function fieldsAt(path: JsonPath): [name: string, field: FieldSchema][] {
  const at = schemaAt(path);
  if (at === null) return [];
  return optionsOf(at)
    .flatMap(({ properties }) => Object.entries(properties ?? {}))
    .filter(([name]) => name !== OWN);
}

/** The values of which there are only a few. */
export function valuesAt(path: JsonPath): unknown[] {
  const at = schemaAt(path);
  if (at === null) return [];
  return optionsOf(at).flatMap((option) => {
    if (option.enum !== undefined) return [...option.enum];
    if (option.const !== undefined) return [option.const];
    if (option.type === 'boolean') return [true, false];
    return option.type === 'null' ? [null] : [];
  });
}

/** What people read about a field. */
export function aboutField(field: FieldSchema): string {
  const resolved = optionsOf(field);
  const { minimum, maximum } = resolved.find((option) => option.type === 'number' || option.type === 'integer') ?? {};
  const parts = [
    field.description ?? resolved.find(({ description }) => description !== undefined)?.description,
    // The largest whole number is a bound of JSON, and none of the language.
    minimum !== undefined && maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER
      ? `from ${minimum} to ${maximum}`
      : undefined,
    field.default !== undefined ? `left out: ${JSON.stringify(field.default)}` : undefined,
  ];
  return parts.filter((part) => part !== undefined).join('; ');
}

/** The schema itself, or those that it lets one choose from. */
function optionsOf(at: FieldSchema): FieldSchema[] {
  const found = at.$ref === undefined ? at : { ...ROOT.$defs[at.$ref.slice(at.$ref.lastIndexOf('/') + 1)] };
  return found.anyOf === undefined ? [found] : found.anyOf.flatMap(optionsOf);
}
