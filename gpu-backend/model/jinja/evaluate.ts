/** Evaluates expressions. */
import { applyFilter } from './filters.ts';
import { contains, passes } from './is-tests.ts';
import { methodOf } from './methods.ts';
import { operate } from './operate.ts';
import { slicePositions } from './python-string.ts';
import type { Scope } from './scope.ts';
import type { Argument, Expression, Filter, Member, Slice } from './syntax.ts';
import { Text } from './text.ts';
import {
  type Arguments,
  Callable,
  Dict,
  equal,
  Float,
  isTrue,
  itemsOf,
  List,
  Namespace,
  numberOf,
  toText,
  typeName,
  Undefined,
  type Value,
} from './values.ts';
import { spendSteps } from './work.ts';

export function evaluate(node: Expression, scope: Scope): Value {
  spendSteps();
  const of = (inner: Expression) => evaluate(inner, scope);
  switch (node.type) {
    case 'StringLiteral':
      return Text.written(node.value);
    case 'IntegerLiteral':
      return node.value;
    case 'FloatLiteral':
      return new Float(node.value);
    case 'ArrayLiteral':
      return new List(node.value.map(of));
    case 'TupleLiteral':
      return new List(node.value.map(of), 'tuple');
    case 'ObjectLiteral':
      return new Dict([...node.value].map(([key, value]) => [of(key), of(value)]));
    case 'Identifier':
      return scope.get(node.value);
    case 'Ternary':
      return isTrue(of(node.condition)) ? of(node.trueExpr) : of(node.falseExpr);
    case 'SelectExpression':
      return isTrue(of(node.test)) ? of(node.lhs) : new Undefined('if without else');
    case 'MemberExpression':
      return memberOf(node, scope);
    case 'CallExpression':
      return call(of(node.callee), argumentsOf(node.args, scope));
    case 'FilterExpression':
      return filter(node.filter, of(node.operand), scope);
    case 'TestExpression':
      return passes(node.test.value, of(node.operand)) !== node.negate;
    case 'UnaryExpression':
      return unary(node.operator.value, of(node.argument));
    case 'BinaryExpression': {
      const { value: operator } = node.operator;
      const left = of(node.left);
      if (operator === 'and') return isTrue(left) ? of(node.right) : left;
      if (operator === 'or') return isTrue(left) ? left : of(node.right);
      const right = of(node.right);
      if (operator === '==' || operator === '!=') return equal(left, right) === (operator === '==');
      if (operator === 'in' || operator === 'not in') return contains(right, left) === (operator === 'in');
      return operate(operator, left, right);
    }
    default:
      node satisfies never;
      throw new Error('unknown expression');
  }
}

export function filter(node: Filter, value: Value, scope: Scope): Value {
  if (node.type === 'Identifier') return applyFilter(node.value, value, argumentsOf([], scope));
  if (node.callee.type !== 'Identifier') throw new Error('a filter must have a name');
  return applyFilter(node.callee.value, value, argumentsOf(node.args, scope));
}

export function call(callee: Value, args: Arguments): Value {
  if (callee instanceof Callable) return callee.call(args);
  if (callee instanceof Undefined) throw new Error(`'${callee.name}' is undefined`);
  throw new Error(`a ${typeName(callee)} cannot be called`);
}

export function argumentsOf(nodes: readonly Argument[], scope: Scope): Arguments {
  const positional: Value[] = [];
  const named = new Map<string, Value>();
  for (const node of nodes) {
    if (node.type === 'KeywordArgumentExpression') named.set(node.key.value, evaluate(node.value, scope));
    else if (node.type === 'SpreadExpression') positional.push(...itemsOf(evaluate(node.argument, scope)));
    else if (node.type === 'KeywordSpreadExpression') {
      const fields = evaluate(node.argument, scope);
      if (!(fields instanceof Dict)) throw new Error(`** takes a dict, not a ${typeName(fields)}`);
      for (const [key, value] of fields.entries()) named.set(toText(key).string, value);
    } else positional.push(evaluate(node, scope));
  }
  return { positional, named };
}

function unary(operator: string, value: Value): Value {
  if (operator === 'not') return !isTrue(value);
  const number = numberOf(value);
  if (number === undefined) throw new Error(`${operator} takes a number, not a ${typeName(value)}`);
  const signed = operator === '-' ? -number : number;
  return value instanceof Float ? new Float(signed) : signed;
}

/** `a.b` looks for a method or field first and then for an item, `a['b']` the other way round. */
function memberOf(node: Member, scope: Scope): Value {
  const object = evaluate(node.object, scope);
  if (object instanceof Undefined) throw new Error(`'${object.name}' is undefined`);
  if (node.property.type === 'SliceExpression') return sliceOf(object, node.property, scope);
  const { property } = node;
  const key =
    !node.computed && property.type === 'Identifier' ? Text.written(property.value) : evaluate(property, scope);
  const attribute = () => (key instanceof Text ? attributeOf(object, key.string) : undefined);
  const found = node.computed ? (itemOf(object, key) ?? attribute()) : (attribute() ?? itemOf(object, key));
  return found ?? new Undefined(toText(key).string);
}

function attributeOf(object: Value, name: string): Value | undefined {
  return object instanceof Namespace ? object.fields.get(name) : methodOf(object, name);
}

function itemOf(object: Value, key: Value): Value | undefined {
  if (object instanceof Dict) return object.get(key);
  const place = typeof key === 'number' || typeof key === 'boolean' ? Number(key) : undefined;
  if (place === undefined || !(object instanceof List || object instanceof Text)) return undefined;
  return (object instanceof List ? object.items : object.characters()).at(place);
}

function sliceOf(object: Value, { start, stop, step }: Slice, scope: Scope): Value {
  const bound = (node: Expression | undefined): number | undefined => {
    const value = node && evaluate(node, scope);
    if (value === undefined || value === null) return undefined;
    if (typeof value !== 'number') throw new Error(`a slice takes integers, not a ${typeName(value)}`);
    return value;
  };
  const bounds = { start: bound(start), stop: bound(stop), step: bound(step) };
  const take = <T>(items: readonly T[]): T[] => slicePositions(items.length, bounds).map((at) => items[at]!);
  if (object instanceof Text) return Text.join(take(object.characters()));
  if (object instanceof List) return new List(take(object.items), object.kind);
  throw new Error(`a ${typeName(object)} cannot be sliced`);
}
