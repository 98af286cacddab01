/** Runs the statements of a template and collects what they write. */
import { argumentsOf, call, evaluate, filter } from './evaluate.ts';
import { Scope } from './scope.ts';
import type { Assignment, CallBlock, Expression, For, Identifier, Parameter, Statement, Tuple } from './syntax.ts';
import { Text } from './text.ts';
import {
  type Arguments,
  Callable,
  Dict,
  isTrue,
  itemsOf,
  List,
  Namespace,
  toText,
  Undefined,
  type Value,
} from './values.ts';
import { spendSteps } from './work.ts';

/** What a body ends with: itself, or a jump to the next turn or out of the nearest loop. */
type End = 'done' | 'continue' | 'break';

/** The text that a body writes on its own, as in a macro. */
function textOf(body: readonly Statement[], scope: Scope): Text {
  const out: Text[] = [];
  run(body, scope, out);
  return Text.join(out);
}

/** Runs the statements in turn and appends what they write to `out`. */
export function run(body: readonly Statement[], scope: Scope, out: Text[]): End {
  for (const statement of body) {
    const end = runOne(statement, scope, out);
    if (end !== 'done') return end;
  }
  return 'done';
}

function runOne(node: Statement, scope: Scope, out: Text[]): End {
  spendSteps();
  switch (node.type) {
    case 'Comment':
      return 'done';
    case 'Break':
      return 'break';
    case 'Continue':
      return 'continue';
    case 'If':
      return run(isTrue(evaluate(node.test, scope)) ? node.body : node.alternate, scope, out);
    case 'For':
      runLoop(node, scope, out);
      return 'done';
    case 'Set':
      runSet(node, scope);
      return 'done';
    case 'Macro':
      scope.set(node.name.value, macro(node.args, node.body, scope));
      return 'done';
    case 'CallStatement':
      out.push(runCallBlock(node, scope));
      return 'done';
    case 'FilterStatement':
      out.push(toText(filter(node.filter, textOf(node.body, new Scope(scope)), scope)));
      return 'done';
    default:
      out.push(toText(evaluate(node, scope)));
      return 'done';
  }
}

/** Binds a name, or several to the items of a list. */
function bind(target: Expression | Identifier | Tuple, value: Value, scope: Scope): void {
  if (target.type === 'Identifier') {
    scope.set(target.value, value);
  } else if (target.type === 'TupleLiteral') {
    const items = itemsOf(value);
    if (items.length !== target.value.length) {
      throw new Error(`found ${items.length} values to unpack, wanted ${target.value.length}`);
    }
    for (const [i, inner] of target.value.entries()) bind(inner, items[i]!, scope);
  } else if (target.type === 'MemberExpression' && target.property.type === 'Identifier') {
    const object = evaluate(target.object, scope);
    if (!(object instanceof Namespace)) throw new Error('only a namespace has attributes that can be set');
    object.fields.set(target.property.value, value);
  } else {
    throw new Error('this cannot be set');
  }
}

function runSet({ assignee, value, body }: Assignment, scope: Scope): void {
  bind(assignee, value ? evaluate(value, scope) : textOf(body, new Scope(scope)), scope);
}

/** Every turn has names of its own: what one turn sets, the next does not see. */
function runLoop(node: For, scope: Scope, out: Text[]): void {
  const { iterable, loopvar } = node;
  const select = iterable.type === 'SelectExpression' ? iterable : undefined;
  const all = itemsOf(evaluate(select?.lhs ?? iterable, scope));
  const turn = (item: Value) => {
    const inner = new Scope(scope);
    bind(loopvar, item, inner);
    return inner;
  };
  const items = select ? all.filter((item) => isTrue(evaluate(select.test, turn(item)))) : all;
  if (items.length === 0) run(node.defaultBlock, new Scope(scope), out);
  for (const [i, item] of items.entries()) {
    spendSteps();
    const inner = turn(item);
    inner.set('loop', loopAt(items, i));
    if (run(node.body, inner, out) === 'break') break;
  }
}

function loopAt(items: readonly Value[], i: number): Namespace {
  const { length } = items;
  return new Namespace([
    ['index', i + 1],
    ['index0', i],
    ['revindex', length - i],
    ['revindex0', length - i - 1],
    ['first', i === 0],
    ['last', i === length - 1],
    ['length', length],
    ['previtem', items[i - 1] ?? new Undefined('loop.previtem')],
    ['nextitem', items[i + 1] ?? new Undefined('loop.nextitem')],
    ['cycle', new Callable(({ positional }) => positional[i % positional.length] ?? new Undefined('loop.cycle'))],
  ]);
}

/** A macro sees the names around its definition, not those around its call. */
function macro(
  parameters: readonly Parameter[],
  body: readonly Statement[],
  outer: Scope,
  caller?: Callable,
): Callable {
  return new Callable((args) => {
    const scope = new Scope(outer);
    const named = new Map(args.named);
    const callerOf = named.get('caller') ?? caller;
    if (callerOf !== undefined) scope.set('caller', callerOf);
    named.delete('caller');
    for (const [i, parameter] of parameters.entries()) {
      const name = parameter.type === 'Identifier' ? parameter.value : parameter.key.value;
      const given = args.positional[i] ?? named.get(name);
      named.delete(name);
      const otherwise = () =>
        parameter.type === 'Identifier' ? new Undefined(name) : evaluate(parameter.value, scope);
      scope.set(name, given ?? otherwise());
    }
    scope.set('varargs', new List(args.positional.slice(parameters.length), 'tuple'));
    scope.set('kwargs', new Dict([...named].map(([name, value]) => [Text.written(name), value])));
    return textOf(body, scope);
  });
}

function runCallBlock({ call: node, callerArgs, body }: CallBlock, scope: Scope): Text {
  const given = argumentsOf(node.args, scope);
  const caller = macro(callerArgs ?? [], body, scope);
  const args: Arguments = { ...given, named: new Map([...given.named, ['caller', caller]]) };
  return toText(call(evaluate(node.callee, scope), args));
}
