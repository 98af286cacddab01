/** The parts of docs/performance.md that a run writes: tables in Markdown, from its results. */
import { paperTable } from './on-paper.ts';
import type { Results } from './results.ts';
import { type Figure, reached, type Table } from './row.ts';

/** The parts by the name in their marker. */
export function pageParts(results: Results): Record<string, string> {
  return {
    machine: machineOf(results),
    figures: figuresOf(results),
    medians: mediansOf(results),
    notes: notesOf(results),
    paper: paperTable(),
  };
}

/**
 * Replaces what is between `<!-- name -->` and `<!-- /name -->`. Throws if the page lacks a part's
 * markers.
 */
export function fillPage(page: string, parts: Readonly<Record<string, string>>): string {
  let filled = page;
  for (const [name, text] of Object.entries(parts)) {
    const [begin, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
    const [from, to] = [filled.indexOf(begin), filled.indexOf(end)];
    if (from < 0 || to < from) throw new Error(`the page: found no ${begin} … ${end}, wanted one`);
    filled = `${filled.slice(0, from + begin.length)}\n${text}\n${filled.slice(to)}`;
  }
  return filled;
}

function machineOf({ machine, models }: Results): string {
  const rows = Object.values(models).flatMap((all) => Object.values(all));
  const days = [...new Set(rows.map(({ at }) => at.slice(0, 10)))].sort().join(', ');
  const rounds = [...new Set(rows.map((row) => row.rounds))].join(' or ');
  const { cpu, cores, memoryGiB, node } = machine;
  return `Measured on ${days}: ${cpu}, ${cores} cores, ${memoryGiB} GiB, Node ${node}; rounds of each row: ${rounds}.`;
}

function figuresOf({ models }: Results): string {
  return Object.entries(models)
    .flatMap(([model, rows]) => [
      `### ${model}`,
      '',
      '| figure | against | expected | reach | measured | |',
      '| --- | --- | --- | --- | --- | --- |',
      ...Object.values(rows).flatMap(({ result }) => result.figures.map(figureLine)),
      '',
    ])
    .join('\n')
    .trimEnd();
}

function figureLine(figure: Figure): string {
  const { name, against, expected, reach, ratio, better } = figure;
  const wanted = reach === null ? '' : `${better === 'lower' ? '≤' : '≥'} ${reach}`;
  const met = reached(figure);
  const verdict = met === null ? '' : met ? 'reached' : 'missed';
  return `| ${name} | ${against} | ${expected} | ${wanted} | **${ratio.toFixed(2)}** | ${verdict} |`;
}

function mediansOf({ models }: Results): string {
  const several = Object.keys(models).length > 1;
  const lines = Object.entries(models).flatMap(([model, rows]) =>
    Object.values(rows).flatMap(({ result }) =>
      result.tables.flatMap((table) => tableLines(table, several ? `${model}: ` : '')),
    ),
  );
  return ['| what | median | raw |', '| --- | --- | --- |', ...lines].join('\n');
}

function tableLines({ title, unit, measured }: Table, prefix: string): string[] {
  return measured.map(({ name, values, median }) => {
    const raw = values.map((value) => value.toPrecision(3)).join(', ');
    return `| ${prefix}${title}: ${name} | ${median.toPrecision(3)} ${unit} | ${raw} |`;
  });
}

function notesOf({ models }: Results): string {
  const notes = Object.entries(models).flatMap(([model, rows]) =>
    Object.values(rows).flatMap(({ result }) => result.notes.map((note) => `- ${model}: ${note}.`)),
  );
  return notes.join('\n');
}
