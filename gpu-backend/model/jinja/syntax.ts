/**
 * The syntax tree of a template, as `@huggingface/jinja` parses it. The package exports its parser
 * but not the types of its nodes, so we write them down here.
 */
import { parse, tokenize } from '@huggingface/jinja';

export type Identifier = { type: 'Identifier'; value: string };
type Keyword = { type: 'KeywordArgumentExpression'; key: Identifier; value: Expression };
export type Argument =
  | Expression
  | Keyword
  | { type: 'SpreadExpression'; argument: Expression }
  | { type: 'KeywordSpreadExpression'; argument: Expression };
export type Parameter = Identifier | Keyword;
type Call = { type: 'CallExpression'; callee: Expression; args: Argument[] };
export type Filter = Identifier | Call;
export type Slice = { type: 'SliceExpression'; start?: Expression; stop?: Expression; step?: Expression };
export type Tuple = { type: 'TupleLiteral'; value: Expression[] };
type Select = { type: 'SelectExpression'; lhs: Expression; test: Expression };
export type Member = { type: 'MemberExpression'; object: Expression; property: Expression | Slice; computed: boolean };
type Binary = { type: 'BinaryExpression'; operator: { value: string }; left: Expression; right: Expression };
type Unary = { type: 'UnaryExpression'; operator: { value: string }; argument: Expression };

export type Expression =
  | Identifier
  | Call
  | Tuple
  | Select
  | Member
  | Binary
  | Unary
  | { type: 'StringLiteral'; value: string }
  | { type: 'IntegerLiteral' | 'FloatLiteral'; value: number }
  | { type: 'ArrayLiteral'; value: Expression[] }
  | { type: 'ObjectLiteral'; value: Map<Expression, Expression> }
  | { type: 'FilterExpression'; operand: Expression; filter: Filter }
  | { type: 'TestExpression'; operand: Expression; negate: boolean; test: Identifier }
  | { type: 'Ternary'; condition: Expression; trueExpr: Expression; falseExpr: Expression };

export type For = {
  type: 'For';
  loopvar: Identifier | Tuple;
  iterable: Expression;
  body: Statement[];
  defaultBlock: Statement[];
};
type Macro = { type: 'Macro'; name: Identifier; args: Parameter[]; body: Statement[] };
export type CallBlock = { type: 'CallStatement'; call: Call; callerArgs: Parameter[] | null; body: Statement[] };
export type Assignment = { type: 'Set'; assignee: Expression; value: Expression | null; body: Statement[] };

/** Text between the statements is a `StringLiteral`, and `{{ … }}` is its expression. */
export type Statement =
  | Expression
  | For
  | Macro
  | CallBlock
  | Assignment
  | { type: 'If'; test: Expression; body: Statement[]; alternate: Statement[] }
  | { type: 'FilterStatement'; filter: Filter; body: Statement[] }
  | { type: 'Break' | 'Continue' | 'Comment' };

/** Parses with the white space rules that Transformers sets: `trim_blocks` and `lstrip_blocks`. */
export function parseTemplate(source: string): Statement[] {
  const program = parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true }));
  // The package declares only that a statement has a `type`.
  return program.body as unknown as Statement[];
}

/** Every piece of text that a template can write by itself. */
export function literalsOf(statements: readonly Statement[]): string[] {
  const found: string[] = [];
  const visit = (node: unknown): void => {
    if (Array.isArray(node)) node.forEach(visit);
    else if (node instanceof Map) [...node].forEach(visit);
    else if (typeof node === 'object' && node !== null) {
      const { type, value } = node as { type?: unknown; value?: unknown };
      if (type === 'StringLiteral') found.push(String(value));
      else Object.values(node).forEach(visit);
    }
  };
  visit(statements);
  return found;
}
