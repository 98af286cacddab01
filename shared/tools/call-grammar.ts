/**
 * Calls as a grammar: what an answer looks like that calls some functions, in the syntax that its
 * model has learnt. The marks and the spaces are those that templates write (tool-syntax.ts); the
 * arguments follow a schema. What the grammar allows, the parser of this folder reads as calls.
 */
import type { Grammar } from '#shared/grammar/grammar.ts';
import { ARGUMENTS_MARK, SYNTAX_MARKS, type ToolSyntax } from './tool-syntax.ts';

type HeldFunction = {
  /** Letters, digits, `_` and `-`: it stands in JSON as it is. */
  name: string;
  /** What its arguments look like: a grammar of JSON objects. */
  arguments: Grammar;
};

type Calls = {
  functions: readonly HeldFunction[];
  /** Whether at most one call may be made. */
  single: boolean;
};

const literal = (text: string): Grammar => ({ type: 'literal', text });
const sequence = (...parts: Grammar[]): Grammar => ({ type: 'sequence', parts });
const oneOf = (options: Grammar[]): Grammar => (options.length === 1 ? options[0]! : { type: 'choice', options });

/** How a call that is JSON begins, up to its name. */
const BEGIN = '{"name": "';

/** Such a call from its name on. */
function fromName(functions: readonly HeldFunction[], { key, end }: { key: string; end: string }): Grammar {
  return oneOf(
    functions.map(({ name, arguments: written }) =>
      sequence(literal(`${name}", "${key}": `), written, literal(`}${end}`)),
    ),
  );
}

/** One call or more, and nothing else. */
function callsAlone(begin: string, body: Grammar, { single, between }: { single: boolean; between: string }): Grammar {
  const most = single ? 1 : null;
  return { type: 'triggered', triggers: [{ begin, body }], text: false, between, least: 1, most };
}

/** Free text, and after each mark a call. */
function callsInText(begin: string, body: Grammar, { single }: { single: boolean }): Grammar {
  const most = single ? 1 : null;
  return { type: 'triggered', triggers: [{ begin, body }], text: true, between: '', least: 0, most };
}

type Syntax = {
  /** An answer that is one call or more, and nothing else. */
  forced: (calls: Calls) => Grammar;
  /** An answer that says something, calls something, or both. */
  free: (calls: Calls) => Grammar;
  /** Calls and nothing else, behind a mark. */
  marked: (calls: Calls) => Grammar;
};

const HERMES_END = `\n${SYNTAX_MARKS.hermes.close}`;
const { open: LLAMA_MARK } = SYNTAX_MARKS.llama3;
const { open: MISTRAL_MARK } = SYNTAX_MARKS.mistral;

/** All calls in one list. */
const mistralList = ({ functions, single }: Calls): Grammar =>
  sequence(
    oneOf([literal('['), literal(' [')]),
    callsAlone(BEGIN, fromName(functions, { key: 'arguments', end: '' }), { single, between: ', ' }),
    literal(']'),
  );
/** One call, as newer models of this family write it. */
const mistralNamed = ({ functions }: Calls): Grammar =>
  oneOf(functions.map(({ name, arguments: written }) => sequence(literal(`${name}${ARGUMENTS_MARK}`), written)));

const llamaCalls = ({ functions, single }: Calls): Grammar =>
  callsAlone(BEGIN, fromName(functions, { key: 'parameters', end: '' }), { single, between: '; ' });

const hermesCalls = ({ functions, single }: Calls): Grammar =>
  callsAlone(`${SYNTAX_MARKS.hermes.open}\n${BEGIN}`, fromName(functions, { key: 'arguments', end: HERMES_END }), {
    single,
    between: '\n',
  });

const mistralCalls = (calls: Calls): Grammar =>
  oneOf([
    sequence(literal(MISTRAL_MARK), mistralList(calls)),
    callsAlone(MISTRAL_MARK, mistralNamed(calls), { single: calls.single, between: '' }),
  ]);

const SYNTAXES: Readonly<Record<ToolSyntax, Syntax>> = {
  hermes: {
    forced: hermesCalls,
    marked: hermesCalls,
    free: ({ functions, single }) =>
      callsInText(
        SYNTAX_MARKS.hermes.open,
        sequence(literal(`\n${BEGIN}`), fromName(functions, { key: 'arguments', end: HERMES_END })),
        { single },
      ),
  },
  llama3: {
    forced: llamaCalls,
    marked: (calls) => sequence(literal(LLAMA_MARK), llamaCalls(calls)),
    // A call needs no mark where an answer begins, so nothing else may begin like one.
    free: (calls) =>
      oneOf([
        llamaCalls(calls),
        { type: 'text', without: [LLAMA_MARK], notFirst: '{' },
        sequence({ type: 'text-until', until: LLAMA_MARK, notFirst: '{' }, llamaCalls(calls)),
      ]),
  },
  mistral: {
    forced: mistralCalls,
    marked: mistralCalls,
    free: (calls) => callsInText(MISTRAL_MARK, oneOf([mistralList(calls), mistralNamed(calls)]), calls),
  },
};

/**
 * @param functions those that may be called, at least one
 * @param forced whether the answer is calls and nothing else
 * @param otherwise what it is if it calls nothing, where that is not free text. Then it begins with
 *   a mark if it calls something, and the parser has to know (`alone`)
 */
export function callGrammar(
  syntax: ToolSyntax,
  { forced, otherwise = null, ...calls }: Calls & { forced: boolean; otherwise?: Grammar | null },
): Grammar {
  const { forced: onlyCalls, marked, free } = SYNTAXES[syntax];
  if (forced) return onlyCalls(calls);
  return otherwise === null ? free(calls) : oneOf([marked(calls), otherwise]);
}
