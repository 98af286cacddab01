/** Turns a JSON Schema into rules: the JSON texts of its valid values. */

import { arrayRule } from './array-rules.ts';
import { ANY_CHAR } from './char-set.ts';
import { type Conjunction, type JsonType, memberOf, type Sub } from './conjunction.ts';
import { Expansion, keyOf, subCost, typeOf } from './expand-schema.ts';
import { GrammarError } from './grammar-error.ts';
import { surelyWithin } from './inexact-numbers.ts';
import { addArray, addObject } from './json-rules.ts';
import { type Leaf, LiteralLeaf } from './leaf.ts';
import { multiplesPattern, multiplesTable } from './multiples-table.ts';
import { integerPattern, numberPatterns } from './number-pattern.ts';
import { chars, lengthsOf, repeat } from './pattern.ts';
import { allTextsBut, plainLeaf, type StringPattern, stringPatternLeaf } from './pattern-leaf.ts';
import { choiceRule, type Part, prune, Rule } from './rule.ts';
import { SchemaDocument } from './schema-document.ts';
import { StringLeaf } from './string-leaf.ts';
import { isValid, satisfies } from './validate-value.ts';
import type { Work } from './work.ts';

const MOST_RULES = 5_000;

/** Throws a GrammarError that says what is not supported, or wrong, and where. */
export function schemaRule(text: string, work: Work): Rule {
  const document = new SchemaDocument(text);
  const rule = new SchemaRules(new Expansion(document, work)).rule([document.root]);
  if (!prune(rule, work)) throw new GrammarError('allows no value at all', { pointer: '' });
  return rule;
}

class SchemaRules {
  readonly #expansion: Expansion;
  readonly #rules = new Map<string, Rule>();

  constructor(expansion: Expansion) {
    this.#expansion = expansion;
  }

  /** The values that are valid under all of these schemas. */
  rule(sub: Sub): Rule {
    this.#expansion.work.spend(subCost(sub));
    const key = keyOf(sub);
    const known = this.#rules.get(key);
    if (known !== undefined) return known;
    if (this.#rules.size >= MOST_RULES) throw new GrammarError(`has more than ${MOST_RULES} parts`);
    // Known before it is written, because a schema may contain itself.
    const rule = new Rule();
    this.#rules.set(key, rule);
    const end = rule.state();
    for (const conjunction of this.#expansion.alternatives(sub)) {
      for (const symbol of this.#symbolsOf(conjunction, sub)) rule.read(0, symbol, end);
    }
    rule.accept(end);
    return rule;
  }

  #symbolsOf(conjunction: Conjunction, sub: Sub): Part[] {
    if (conjunction.values !== null) {
      const rest = { ...conjunction, values: null };
      return conjunction.values
        .filter((value) => satisfies(value, rest, this.#expansion))
        .map((value) => this.#value(value));
    }
    const place = sub[0]?.pointer ?? '';
    return [...conjunction.types].flatMap((type) => this.#ofType(type, conjunction, place) ?? []);
  }

  #ofType(type: JsonType, conjunction: Conjunction, place: string): Part | null {
    switch (type) {
      case 'null':
        return conjunction.excluded.includes(null) ? null : new LiteralLeaf('null');
      case 'boolean': {
        const values = [true, false].filter((value) => !conjunction.excluded.includes(value));
        return choiceRule(values.map((value) => new LiteralLeaf(JSON.stringify(value))));
      }
      case 'number':
        return this.#numberLeaf(conjunction, place);
      case 'string':
        return this.#stringLeaf(conjunction, place);
      case 'array':
      case 'object':
        if (conjunction.excluded.some((value) => typeOf(value) === type)) throw unsupported(place, 'not', `an ${type}`);
        return type === 'array' ? this.#array(conjunction, place) : this.#object(conjunction, place);
      default:
        return type satisfies never;
    }
  }

  #value(value: unknown): Part {
    this.#expansion.work.spend(10);
    if (typeof value !== 'object' || value === null) return new LiteralLeaf(JSON.stringify(value));
    const rule = new Rule();
    if (Array.isArray(value)) {
      const items = value.map((item) => this.#value(item));
      addArray<number>(rule, {
        ...{ start: 0, keyOf: String, mayEnd: (count: number) => count === items.length },
        items: (count) => (count < items.length ? [{ item: items[count]!, to: count + 1 }] : []),
      });
    } else {
      const properties = Object.entries(value).map(([name, member]) => ({
        ...{ name, value: this.#value(member), required: true },
      }));
      addObject(rule, { properties, additional: null });
    }
    return rule;
  }

  #array(conjunction: Conjunction, place: string): Part | null {
    if (conjunction.array.min > conjunction.array.max) return null;
    return arrayRule(conjunction, {
      ...{ expansion: this.#expansion, place },
      rule: (sub) => this.rule(sub),
      value: (value) => this.#value(value),
    });
  }

  #object(conjunction: Conjunction, place: string): Part | null {
    const { object } = conjunction;
    const { required, names } = object;
    const listed = [...new Set([...object.properties.keys(), ...required])];
    this.#expansion.work.spend(listed.reduce((sum, name) => sum + 20 + name.length, 0));
    const properties = listed.flatMap((name) => {
      const isRequired = required.has(name);
      if (!isValid(name, names, this.#expansion)) return isRequired ? [null] : [];
      return [{ name, value: this.rule(memberOf(conjunction, name)), required: isRequired }];
    });
    const possible = properties.filter((property) => property !== null);
    if (possible.length < properties.length) return null;
    const closed = this.#isNothing(object.additional);
    if (object.min > required.size) throw unsupported(place, 'minProperties', 'more than the required properties');
    if (object.max < (closed ? possible.length : Infinity)) {
      throw unsupported(place, 'maxProperties', 'fewer than the properties that there may be');
    }
    const others: Others = closed ? [] : this.#otherNames(names, { listed, place });
    const value = this.rule(object.additional);
    const rule = new Rule();
    addObject(rule, {
      properties: Array.isArray(others)
        ? [...possible, ...others.map((name) => ({ name, value, required: false }))]
        : possible,
      additional: Array.isArray(others) ? null : { name: others, value },
    });
    return rule;
  }

  #isNothing(sub: Sub): boolean {
    return this.#expansion.alternatives(sub).length === 0;
  }

  /** The names that an object may have besides those listed. */
  #otherNames(names: Sub, { listed, place }: { listed: readonly string[]; place: string }): Others {
    const ofNames = this.#expansion.alternatives(names).filter(({ types }) => types.has('string'));
    if (ofNames.every(({ values }) => values !== null)) {
      const values = ofNames.flatMap((one) => one.values!.filter((value) => satisfies(value, one, this.#expansion)));
      return [...new Set(values)].filter((name) => typeof name === 'string' && !listed.includes(name)) as string[];
    }
    const [only] = ofNames;
    if (ofNames.length > 1) throw unsupported(place, 'propertyNames', 'alternatives');
    const { string, excluded } = only!;
    if (string.patterns.length === 0 && string.min === 0 && string.max === Infinity) {
      return new StringLeaf({ excluded: [...listed, ...excluded.filter((value) => typeof value === 'string')] });
    }
    if (listed.some((name) => satisfies(name, only!, this.#expansion))) {
      throw unsupported(place, 'propertyNames', 'a bound that properties keep, too');
    }
    return this.#stringLeaf(only!, place) ?? [];
  }

  #numberLeaf({ number, excluded }: Conjunction, place: string): Leaf | null {
    const { isInteger, multiplesOf, ...bounds } = number;
    const not = excluded.filter((value) => typeof value === 'number').map((value) => JSON.stringify(value));
    const id = `number ${JSON.stringify({ isInteger, multiplesOf, ...bounds, not })}`;
    const { work } = this.#expansion;
    // Any other number may be written in several ways.
    if (!isInteger && not.length > 0) throw unsupported(place, 'not', 'numbers that may have a fraction');
    return this.#leaf(id, place, () => {
      const tables = [...multiplesOf.map(multiplesTable), ...(not.length > 0 ? [allTextsBut(not, work)] : [])];
      if (isInteger) {
        const within = integerPattern(surelyWithin(bounds));
        return within && plainLeaf(id, { patterns: [within], tables, work });
      }
      const written = multiplesOf.length === 0 ? [] : [multiplesPattern(multiplesOf)];
      return plainLeaf(id, { patterns: [...numberPatterns(surelyWithin(bounds)), ...written], tables, work });
    });
  }

  #stringLeaf({ string, excluded }: Conjunction, place: string): Leaf | null {
    const { min, max, patterns } = string;
    const not = excluded.filter((value) => typeof value === 'string');
    if (min > max) return null;
    if (patterns.length === 0 && (max === Infinity || not.length === 0))
      return new StringLeaf({ min, max, excluded: not });
    const names = patterns.map(({ name, negated = false }) => [name, negated]);
    const id = `string ${min} ${max} ${JSON.stringify([names, not])}`;
    const { work } = this.#expansion;
    const all: StringPattern[] = [...patterns];
    // A length that the patterns keep anyhow would only multiply their states.
    const lengths = patterns.filter(({ negated = false }) => !negated).map(({ pattern }) => lengthsOf(pattern));
    const least = lengths.some((one) => one.least >= min) ? 0 : min;
    const most = lengths.some((one) => one.most <= max) ? null : max;
    if (least > 0 || (most !== null && most < Infinity)) {
      all.push({ pattern: repeat(chars(ANY_CHAR), least, most === Infinity ? null : most) });
    }
    return this.#leaf(id, place, () => {
      const texts = not.map((text) => JSON.stringify(text));
      return stringPatternLeaf(id, { patterns: all, tables: texts.length > 0 ? [allTextsBut(texts, work)] : [], work });
    });
  }

  /** Makes each automaton once. If it cannot be made, the error says where. */
  #leaf(id: string, pointer: string, make: () => Leaf | null): Leaf | null {
    let leaf = this.#expansion.leaves.get(id);
    if (leaf !== undefined) return leaf;
    try {
      leaf = make();
    } catch (thrown) {
      if (!(thrown instanceof GrammarError) || thrown.pointer !== null) throw thrown;
      throw new GrammarError(thrown.message, { pointer, unsupported: thrown.unsupported });
    }
    this.#expansion.leaves.set(id, leaf);
    return leaf;
  }
}

/** Each at most once, or any of a language. */
type Others = string[] | Leaf;

const unsupported = (pointer: string, keyword: string, what: string) =>
  new GrammarError(`is not supported with ${what}`, { pointer: `${pointer}/${keyword}`, unsupported: true });
