/**
 * The fields of the policy language as a table in Markdown, made from the descriptions in the
 * schema.
 */
import * as z from 'zod';
import { policyJsonSchema } from './json-schema.ts';

/** How the values of two levels combine, by field. The schema cannot say it. */
const COMBINE: Readonly<Record<string, string>> = {
  description: 'each document keeps its own',
  floor: 'the higher',
  ceiling: 'the lower',
  opening: 'the longer, the higher',
  rule: '`geometric` before `arithmetic`',
  budget: 'the lower',
  earned: 'the lower start, the lower rate',
  action: 'the stricter: `mix`, `safety_only`, `refuse`',
  refusal: "the tenant's, else its key's, its plan's, the operator's",
  modes: 'what all allow',
  models: 'what all allow',
  'limits.max_tokens': 'the lower',
  'limits.requests_per_minute': 'the lower',
  'limits.tokens_per_minute': 'the lower',
  'limits.concurrent_streams': 'the lower',
  'limits.tokens_per_day': 'the lower',
  'limits.tokens_per_month': 'the lower',
  'limits.tries_per_prompt_per_minute': 'the lower',
  'shaping.n': 'the lower',
  'shaping.logprobs': 'all must allow it',
  'shaping.bias': 'all must allow it',
  'shaping.penalties': 'all must allow it',
  'shaping.plain_prompts': 'all must allow it',
  'shaping.grammar': 'all must allow it',
  'shaping.tools': 'all must allow it',
  'cache.answers': 'all must allow it',
  trace: 'the least',
  'retention.traffic': 'all must allow it',
  'retention.share': 'the smaller',
  'retention.responses': 'all must allow it',
  'retention.days': 'the fewer',
  'categories.SIGNAL.floor': 'the higher',
  'categories.SIGNAL.ceiling': 'the lower',
  'categories.SIGNAL.budget': 'the lower',
  'categories.SIGNAL.action': 'the stricter',
  'categories.SIGNAL.opening': 'the longer, the higher',
  'categories.SIGNAL.refusal': 'as `refusal`',
  'categories.SIGNAL.ramp': 'the earlier start, the earlier end',
  'categories.SIGNAL.shadow': 'shadow rules combine with each other only',
  'shadow.SIGNAL': 'as rules do, apart from those that apply',
  tests: 'each document keeps its own',
};

/** What leaving a field out means, where the schema does not say it. */
const OTHERWISE: Readonly<Record<string, string>> = {
  modes: '`["logits"]`',
  'categories.SIGNAL.shadow': '`false`',
};

/** What we read of a JSON Schema. */
type Node = {
  description?: string | undefined;
  default?: unknown;
  type?: string | undefined;
  required?: string[] | undefined;
  enum?: unknown[] | undefined;
  minimum?: number | undefined;
  maximum?: number | undefined;
  anyOf?: Node[] | undefined;
  items?: Node | undefined;
  properties?: Record<string, Node> | undefined;
  $ref?: string | undefined;
  $defs?: Record<string, Node> | undefined;
};
const Node: z.ZodType<Node> = z.lazy(() =>
  z.looseObject({
    description: z.string().optional(),
    type: z.string().optional(),
    required: z.array(z.string()).optional(),
    enum: z.array(z.unknown()).optional(),
    minimum: z.number().optional(),
    maximum: z.number().optional(),
    anyOf: z.array(Node).optional(),
    items: Node.optional(),
    properties: z.record(z.string(), Node).optional(),
    $ref: z.string().optional(),
    $defs: z.record(z.string(), Node).optional(),
  }),
);

type Row = { field: string; node: Node; isRequired: boolean };

/** Throws if a field has no description, or nobody has said how it combines. */
export function fieldTable(): string {
  const root = Node.parse(policyJsonSchema('policy'));
  const lines = rowsOf(root).map(({ field, node, isRequired }) => {
    const combines = COMBINE[field];
    if (combines === undefined) throw new Error(`field-table.ts: COMBINE says nothing of ${field}`);
    if (node.description === undefined) throw new Error(`the schema has no description of ${field}`);
    const otherwise = isRequired ? '(required)' : (OTHERWISE[field] ?? byDefault(node.default));
    return `| \`${field}\` | ${valuesOf(node)} | ${node.description} | ${otherwise} | ${combines} |`;
  });
  return ['| field | values | what it is | left out | two levels |', '| --- | --- | --- | --- | --- |', ...lines].join(
    '\n',
  );
}

/** Fields that are about the file, and not about the policy. */
const OF_THE_FILE = ['$schema', 'layers_mode'];

function rowsOf(root: Node): Row[] {
  return Object.entries(root.properties ?? {}).flatMap(([name, node]): Row[] => {
    if (OF_THE_FILE.includes(name)) return [];
    if (name === 'shadow') return [{ field: 'shadow.SIGNAL', node, isRequired: false }];
    if (name === 'categories') {
      const rule = root.$defs?.rule;
      const rows = Object.entries(rule?.properties ?? {});
      return rows.map(([part, each]) => ({
        field: `categories.SIGNAL.${part}`,
        node: each,
        isRequired: isRequired(rule, part),
      }));
    }
    if (['limits', 'shaping', 'cache', 'retention'].includes(name)) {
      return Object.entries(node.properties ?? {}).map(([part, each]) => {
        return { field: `${name}.${part}`, node: each, isRequired: false };
      });
    }
    return [{ field: name, node, isRequired: isRequired(root, name) }];
  });
}

const isRequired = (node: Node | undefined, field: string) => node?.required?.includes(field) ?? false;

function valuesOf(node: Node): string {
  if (node.$ref !== undefined) return 'a rule';
  if (node.anyOf !== undefined) return node.anyOf.map(valuesOf).join(' or ');
  if (node.enum !== undefined) return node.enum.map((value) => `\`${value}\``).join(', ');
  switch (node.type) {
    case 'null':
      return '`null`';
    case 'boolean':
      return '`true`, `false`';
    case 'string':
      return 'text';
    case 'number':
      return node.maximum === undefined ? 'a number from 0' : `${node.minimum} to ${node.maximum}`;
    case 'integer':
      return `a whole number from ${node.minimum}${isBounded(node) ? ` to ${node.maximum}` : ''}`;
    case 'array':
      return node.items?.enum === undefined ? 'a list' : `a list of ${valuesOf(node.items)}`;
    default:
      return node.properties?.animal_abuse === undefined
        ? `\`{ ${Object.keys(node.properties ?? {})
            .map((key) => `"${key}"`)
            .join(', ')} }\``
        : 'a rule';
  }
}

/** Without a bound of ours, the schema's is the largest whole number that is exact. */
const isBounded = ({ maximum }: Node) => maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER;

function byDefault(value: unknown): string {
  if (value === undefined) return '';
  const isEmpty = typeof value === 'object' && value !== null && Object.keys(value).length === 0;
  return isEmpty ? 'none' : `\`${JSON.stringify(value)}\``;
}
