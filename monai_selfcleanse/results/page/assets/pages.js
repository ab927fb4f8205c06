"use strict";
// What the report and the review have in common. Texts become text nodes, never HTML.

const SVG = "http://www.w3.org/2000/svg";
const at = (id) => document.getElementById(id);
const make = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
};
const number = (value, digits = 3) => {
  if (value === null || value === undefined) return "–";
  if (value !== 0 && Math.abs(value) < 0.001) return "< 0.001";
  return String(Number(value.toPrecision(digits)));
};

// A slice with outlines. `layers`: the class and the path of each, from below; `whose`: the label; `size`: mm² that
// differ and Dice, if it is a slice in which label and prediction do.
function picture(p, layers, whose, size) {
  const frame = make("div", { class: "frame" });
  frame.style.aspectRatio = String(p.aspect);
  if (p.png) frame.append(make("img", { src: `data:image/png;base64,${p.png}`, alt: "", decoding: "async" }));
  const words = `slice ${p.slice}` + (size ? `, Dice ${number(size.dice, 2)}, ${number(size.mm2)} mm² differ` : "");
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${p.size[0]} ${p.size[1]}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${whose}: ${words}`);
  for (const [name, outline] of layers) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", outline);
    path.setAttribute("class", name);
    svg.append(path);
  }
  frame.append(svg, make("span", { class: "edge left" }, p.edges[0]), make("span", { class: "edge top" }, p.edges[1]));
  return make("figure", {}, frame, make("figcaption", {}, words));
}
