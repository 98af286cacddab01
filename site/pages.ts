/**
 * Which Markdown files are pages of the site, under which headings the navigation has them, and
 * where each page lies. The files stay where they are, and read well on a code host, too.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';

/** The first page. */
export const HOME = 'docs/README.md';

/** The navigation. Pages of `docs/` that it does not name come last. */
const GROUPS: Readonly<Record<string, readonly string[]>> = {
  'Begin here': ['docs/quick-start.md', 'docs/concepts.md', 'examples/README.md'],
  'Call it': ['docs/api.md', 'docs/clients.md', 'docs/responses.md', 'docs/tools.md', 'docs/structured-output.md'],
  'Draw lines': [
    'docs/policies.md',
    'docs/admin-api.md',
    'docs/console.md',
    'docs/sampling.md',
    'docs/receipts.md',
    'docs/limits.md',
  ],
  Models: ['docs/models.md', 'docs/bundle.md', 'docs/training.md', 'models/smollm2-135m-instruct/README.md'],
  'Run it': ['docs/operations.md', 'docs/deploy.md', 'docs/scaling.md', 'docs/caching.md', 'docs/edge-mixing.md'],
  'How it works': ['docs/architecture.md', 'shared/gate/README.md', 'docs/threat-model.md', 'SECURITY.md'],
  'What was measured': [
    'docs/evaluation/README.md',
    'docs/evaluation-demo/README.md',
    'docs/benchmarks.md',
    'docs/performance.md',
    'models/demo/README.md',
    'models/classifier/CARD.md',
  ],
  'Work on it': ['CONTRIBUTING.md', 'docs/house.md', 'docs/dependencies.md', 'CHANGELOG.md'],
};
/** Where pages come that no group names. */
const groupOf = (source: string) => (source.startsWith('docs/decisions/') ? 'Decisions' : 'More');

export type Page = {
  /** The file in the repository. */
  source: string;
  /** Where the page lies in the site, without a leading slash: `policies.md`. */
  place: string;
  /** Its first heading. */
  title: string;
  /** The heading of the navigation that it stands under. Null: it is the first page. */
  group: string | null;
};

/** @param files all Markdown files of the repository, with `/` between folders */
export function pagesOf(root: string, files: readonly string[]): Page[] {
  const named = Object.entries(GROUPS).flatMap(([group, sources]) => sources.map((source) => ({ source, group })));
  const rest = files
    .filter((file) => /^docs\//.test(file) && file !== HOME && !named.some(({ source }) => source === file))
    .map((source) => ({ source, group: groupOf(source) }));
  return [{ source: HOME, group: null }, ...named, ...rest].map(({ source, group }) => {
    const [, title] = /^# +(.+)$/m.exec(readFileSync(path.join(root, source), 'utf8')) ?? [];
    if (title === undefined) throw new Error(`${source} has no first heading`);
    return { source, place: placeOf(source), title: title.replace(/(:|, and) .*$/, '').replaceAll('`', ''), group };
  });
}

/** `docs/policies.md` lies at the top of the site. A folder's README is the folder's page. */
function placeOf(source: string): string {
  if (source === HOME) return 'index.md';
  const name = source.replace(/^docs\//, '').replace(/\/(README|CARD)\.md$/, '.md');
  return name.toLowerCase();
}
