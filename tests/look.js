// The faults of a page that a reader would see, as a list of texts. test_pages.py runs this in the page.
() => {
  const faults = [];
  document.head.insertAdjacentHTML('beforeend', '<style>* { transition: none !important }</style>');
  const name = element => `${element.tagName.toLowerCase()} ${element.className}`.trim();

  // Nothing is wider than the window, unless it scrolls by itself.
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width + 1)
    faults.push(`too wide: page, ${document.documentElement.scrollWidth} px`);
  const overflow = new Map();
  const kept = element => {  // the style that is asked for most: of each element once
    if (!overflow.has(element)) overflow.set(element, getComputedStyle(element).overflowX);
    return overflow.get(element);
  };
  const held = element => {
    for (; element && element.tagName !== 'ARTICLE'; element = element.parentElement)
      if (['auto', 'scroll', 'hidden'].includes(kept(element))) return true;
    return false;
  };
  for (const element of document.querySelectorAll('article *')) {
    const box = element.getBoundingClientRect();
    if (box.width && box.right > width + 1 && !held(element.parentElement))
      faults.push(`too wide: ${name(element)}, to ${box.right} px`);
    const cuts = ['hidden', 'clip'].includes(kept(element));
    if (cuts && element.clientWidth > 1 && element.scrollWidth > element.clientWidth + 1)
      faults.push(`cut off: ${name(element)}, ${element.scrollWidth} px in ${element.clientWidth}`);
  }

  // Every picture is there and says what it shows.
  for (const image of document.images)
    if (!image.hasAttribute('alt') || (image.complete && !image.naturalWidth))
      faults.push(`picture: ${image.outerHTML.slice(0, 80)}`);

  // Every formula is drawn, without an error of MathJax.
  for (const formula of document.querySelectorAll('article .math'))
    if (!formula.querySelector('mjx-container') || formula.querySelector('mjx-merror'))
      faults.push(`formula: ${formula.textContent.slice(0, 60)}`);

  // Text stands out from what is behind it: WCAG 2.1, success criterion 1.4.3, level AA.
  const channels = text => { const n = text.match(/[\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
  const linear = value => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const luminance = ([red, green, blue]) =>
    0.2126 * linear(red / 255) + 0.7152 * linear(green / 255) + 0.0722 * linear(blue / 255);
  const backgrounds = new Map([[null, [255, 255, 255]]]);
  const behind = element => {
    if (!backgrounds.has(element)) {
      const colour = channels(getComputedStyle(element).backgroundColor);
      backgrounds.set(element, colour[3] > 0.99 ? colour : behind(element.parentElement));
    }
    return backgrounds.get(element);
  };
  const pale = new Set();
  const texts = 'p, li, a, h1, h2, h3, td, th, code, pre, pre span, summary, label';
  for (const element of document.querySelectorAll(`:is(article, nav) :is(${texts})`)) {
    const speaks = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    if (!speaks || !element.getClientRects().length || element.closest('.headerlink')) continue;
    const style = getComputedStyle(element);
    const [one, other] = [luminance(channels(style.color)), luminance(behind(element))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < (parseFloat(style.fontSize) >= 24 ? 3 : 4.5))
      pale.add(`hard to read: ${name(element)}, ${style.color}, contrast ${ratio.toFixed(1)}`);
  }
  return [...faults, ...pale];
}
