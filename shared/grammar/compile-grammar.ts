/** Turns a grammar, as it is sent, into rules. */
import { PlimsollError } from '#shared/api/errors.ts';
import type { Grammar } from './grammar.ts';
import { GrammarError, quotedPointer } from './grammar-error.ts';
import { LiteralLeaf } from './leaf.ts';
import { choiceRule, type Part, prune, Rule, sequenceRule } from './rule.ts';
import { schemaRule } from './schema-rules.ts';
import { textUntil, textUpTo, textWithout } from './text-leaf.ts';
import { Work } from './work.ts';

const ANY_OBJECT = '{"type":"object"}';
const MOST_DEPTH = 32;

/**
 * Throws a PlimsollError that says what is wrong, and where.
 *
 * @param dropsFirstSpace whether a space at the start is the tokenizer's, and no part of the text
 * @param what what an error calls the grammar
 * @param work counts what it costs; no request's grammars may cost more than `MOST_WORK`
 * @param schemas the rules of schemas that were read already, by their text; it gets more of them
 */
export function compileGrammar(
  grammar: Grammar,
  {
    dropsFirstSpace = false,
    what = 'The grammar',
    work = new Work(),
    schemas = new Map(),
  }: { dropsFirstSpace?: boolean; what?: string; work?: Work; schemas?: Map<string, Rule> } = {},
): Rule {
  try {
    const rule = sequenceRule([
      ...(dropsFirstSpace ? [choiceRule([new LiteralLeaf(''), new LiteralLeaf(' ')])] : []),
      symbolOf(grammar, { depth: 0, work, schemas }),
    ]);
    if (!prune(rule, work)) throw new GrammarError('allows no text at all');
    return rule;
  } catch (thrown) {
    if (!(thrown instanceof GrammarError)) throw thrown;
    const where = thrown.pointer === null ? what : `${what}, at ${quotedPointer(thrown.pointer)},`;
    const code = thrown.unsupported ? 'unsupported_value' : 'invalid_value';
    throw new PlimsollError(code, `${where} ${thrown.message}.`);
  }
}

/** `schemas`: the rules of those that were read already, by their text. */
type Context = { depth: number; work: Work; schemas: Map<string, Rule> };

function symbolOf(grammar: Grammar, { depth, work, schemas }: Context): Part {
  const inside = { depth: depth + 1, work, schemas };
  work.spend(1);
  if (depth > MOST_DEPTH) throw new GrammarError(`has more than ${MOST_DEPTH} grammars in each other`);
  switch (grammar.type) {
    case 'json_object':
      return schemaOf(ANY_OBJECT, inside);
    case 'json_schema':
      return schemaOf(grammar.schema, inside);
    case 'literal':
      return new LiteralLeaf(grammar.text);
    case 'text':
      return textWithout(grammar.without, { notFirst: grammar.notFirst ?? null });
    case 'text-until':
      return textUpTo(grammar.until, grammar);
    case 'sequence':
      return sequenceRule(grammar.parts.map((part) => symbolOf(part, inside)));
    case 'choice':
      return choiceRule(grammar.options.map((option) => symbolOf(option, inside)));
    case 'triggered':
      return triggeredRule(grammar, inside);
    default:
      return grammar satisfies never;
  }
}

function schemaOf(text: string, { work, schemas }: Context): Rule {
  let rule = schemas.get(text);
  if (rule === undefined) {
    rule = schemaRule(text, work);
    schemas.set(text, rule);
  }
  return rule;
}

type Triggered = Extract<Grammar, { type: 'triggered' }>;

function triggeredRule({ triggers, text, between, least, most }: Triggered, inside: Context): Rule {
  if (most !== null && least > most) throw new GrammarError(`wants at least ${least} of at most ${most} calls`);
  if (text && between !== '') throw new GrammarError('has free text, so nothing else stands between two calls');
  const words = triggers.map(({ begin }) => begin);
  const free = text ? textWithout(words) : null;
  const bodies = triggers.map(({ body }) => symbolOf(body, inside));
  const call = text
    ? callInText(words, bodies)
    : choiceRule(words.map((begin, i) => sequenceRule([new LiteralLeaf(begin), bodies[i]!])));
  const next = between === '' ? call : sequenceRule([new LiteralLeaf(between), call]);
  const rule = new Rule();
  const end = rule.state();
  rule.accept(end);
  const mayEnd = (at: number) => (free === null ? rule.skip(at, end) : rule.read(at, free, end));
  let at = 0;
  if (least === 0) mayEnd(at);
  for (let count = 1; count <= (most ?? Math.max(1, least)); count++) {
    at = rule.read(at, count === 1 ? call : next);
    if (count >= least) mayEnd(at);
  }
  if (most === null) rule.read(at, next, at);
  return rule;
}

/** Free text up to the first of these words, and the body that belongs to it. */
function callInText(words: readonly string[], bodies: readonly Part[]): Rule {
  const { leaf, exits } = textUntil(words);
  const rule = new Rule();
  const end = rule.state();
  rule.accept(end);
  const branches = rule.branch(0, leaf, exits.length);
  for (const [exit, ended] of exits.entries()) {
    for (const word of ended) rule.read(branches[exit]!, bodies[word]!, end);
  }
  return rule;
}
