/** What the check prints of the answers. */

const COLUMNS = [
  { head: '', width: 3, of: (_, i) => i + 1 },
  { head: 'question', width: -34, of: ({ prompt }) => prompt.slice(0, 33) },
  { head: 'budget', width: 7, of: ({ budget }) => budget },
  { head: 'tokens', width: 7, of: ({ tokens }) => tokens },
  { head: 'spent', width: 8, of: ({ spent }) => spent.toFixed(3) },
  { head: 'known', width: 7, of: ({ known }) => known },
  { head: 'moved', width: 9, of: ({ farthest }) => farthest.toFixed(4) },
  { head: 'ms/token', width: 9, of: ({ msPerToken }) => msPerToken.toFixed(1) },
  { head: 'laws', width: 7, of: ({ problems }) => (problems.length === 0 ? 'kept' : 'BROKEN') },
];

/** One line, and one for each law that was broken. The first one comes with the columns' heads. */
export function printAnswer(i, row) {
  if (i === 0) console.log(lineOf(({ head }) => head));
  console.log(lineOf(({ of }) => of(row, i)));
  for (const problem of new Set(row.problems)) console.log(`    ${problem}`);
}

function lineOf(cell) {
  return COLUMNS.map((column) => {
    const text = `${cell(column)}`;
    return column.width < 0 ? text.padEnd(-column.width) : text.padStart(column.width);
  }).join(' ');
}

/** Prints the sums, and returns whether every law was kept. */
export function printSums(rows, topK) {
  const sum = (of) => rows.reduce((total, row) => total + of(row), 0);
  const kept = rows.filter(({ problems }) => problems.length === 0).length;
  const [tokens, known] = [sum((row) => row.tokens), sum((row) => row.known)];
  console.log(`\n${kept} of ${rows.length} answers kept every law: the receipt is genuine and for this question and`);
  console.log('this answer, at every token no more was spent than the budget, and no floor was crossed.');
  console.log(`${known} of ${tokens} tokens were among the safety expert's ${topK} likeliest when it was asked again.`);
  const farthest = Math.max(...rows.map((row) => row.farthest));
  console.log(`Asked again, its numbers move the account by at most ${farthest.toFixed(4)} nats a token.`);
  return kept === rows.length && tokens > 0;
}
