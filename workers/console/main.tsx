/** The console's beginning: the styles, and the one element that everything else is in. */
import './style/main.css';
import { render } from 'preact';
import { App } from './app.tsx';

const root = document.getElementById('app');
if (root === null) throw new Error('the page has no #app');
render(<App />, root);
