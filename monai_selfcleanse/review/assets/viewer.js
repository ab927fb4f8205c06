// The case in NiiVue: image, overlays and the pen. Voxels are known by the order of the label's file, in which the
// server sends and takes them; NiiVue turns them for the screen (to right, anterior, superior), and says how.

const PLANES = { axial: 0, coronal: 1, sagittal: 2, all: 3 };
const COLOURS = { 1: [230, 159, 0], 2: [86, 180, 233], 4: [0, 158, 115] };

// Colours of the structures while they are drawn (Okabe and Ito's, and lighter ones of them).
export const PALETTE = [
  [230, 159, 0], [86, 180, 233], [0, 158, 115], [213, 94, 0], [204, 121, 167], [240, 228, 66], [0, 114, 178],
  [255, 190, 110], [150, 210, 245], [120, 210, 180], [240, 150, 110], [235, 180, 210],
];
export const colourOf = (structure) => PALETTE[(structure - 1) % PALETTE.length];

export function hasWebGL2() {
  try {
    return Boolean(globalThis.niivue && document.createElement("canvas").getContext("webgl2"));
  } catch {
    return false;
  }
}

// The layers of the overlays, from the lowest: each a bit of the same voxels.
const BITS = [4, 1, 2];

// Colours by the voxels' codes that show one bit alone.
function coloursOf(bit) {
  const lut = new Uint8ClampedArray(8 * 4);
  for (let code = 1; code < 8; code++) if (code & bit) lut.set([...COLOURS[bit], 255], code * 4);
  return { lut, min: 0, max: 7, labels: Array(8).fill("") };
}

export class Viewer {
  // `ask` fetches an address, and throws an error of one line.
  constructor(canvas, { ask, onMove, onDraw, onWindow }) {
    this.canvas = canvas;
    this.calls = { ask, onMove, onDraw, onWindow };
    this.layers = {};
    this.overlays = [];
    this.imageUrl = this.overlayUrl = this.drawingUrl = null;
    this.strokes = 0; // that can be undone
    this.changes = 0; // of drawings, ever
    this.latest = 0;
  }

  async start() {
    const nv = (this.nv = new niivue.Niivue({
      backColor: [0, 0, 0, 1], crosshairColor: [0.42, 0.71, 1, 1], crosshairWidth: 0, crosshairGap: 8, fontColor: [0.8, 0.8, 0.8, 1],
      dragAndDropEnabled: false, isRadiologicalConvention: true, multiplanarShowRender: 0, sliceType: PLANES.axial,
      logLevel: "error", loadingText: "", showLegend: false, maxDrawUndoBitmaps: 24, drawingEnabled: false,
      isForceMouseClickToVoxelCenters: true, clipPlaneHotKey: "", cycleClipPlaneHotKey: "", viewModeHotKey: "",
    }));
    await nv.attachToCanvas(this.canvas);
    // The image is smooth, a label has voxels.
    const update = nv.updateInterpolation.bind(nv);
    nv.updateInterpolation = (layer, linear) => {
      nv.opts.isNearestInterpolation = layer > 0;
      update(layer, linear);
      nv.opts.isNearestInterpolation = false;
    };
    nv.onLocationChange = () => this.calls.onMove();
    nv.onIntensityChange = () => this.calls.onWindow();
    nv.onDrawingChanged = (action) => {
      if (action === "draw") this.strokes = Math.min(this.strokes + 1, nv.opts.maxDrawUndoBitmaps - 2);
      if (action === "load") return;
      this.changes += 1;
      this.calls.onDraw();
    };
    const names = ["R", "G", "B"];
    const colours = [[0, 0, 0], ...Array.from({ length: 255 }, (_, i) => colourOf(i + 1))];
    const map = Object.fromEntries(names.map((name, i) => [name, colours.map((colour) => colour[i])]));
    nv.setDrawColormap({ ...map, A: colours.map((_, i) => (i ? 255 : 0)) });
    nv.drawOpacity = 0.5;
  }

  get back() {
    return this.nv.volumes[0];
  }

  // Shows an image and overlays; what is there already stays, and a drawing where the image alone is another. Resolves to false if another was asked for meanwhile.
  async show(image, overlay) {
    const ticket = ++this.latest;
    const fetched = image.url === this.imageUrl ? null : await this.#load(image, { trustCalMinMax: false });
    if (ticket !== this.latest) return false;
    if (fetched) {
      const drawn = this.isDrawing && overlay.url === this.drawingUrl ? this.drawn() : null;
      if (!drawn) this.endDrawing();
      [this.nv.volumes, this.nv.overlays, this.overlays] = [[], [], []];
      this.nv.addVolume(fetched);
      if (drawn) {
        this.nv.drawBitmap.set(this.#turned(drawn, true));
        this.nv.refreshDrawing(true);
      }
      [this.imageUrl, this.overlayUrl] = [image.url, null];
      this.nv.scene.pan2Dxyzmm = [0, 0, 0, 1];
      this.calls.onWindow();
    }
    if (overlay.url !== this.overlayUrl) {
      const codes = await this.#load(overlay, { opacity: 1, cal_min: 0, cal_max: 7 });
      if (ticket !== this.latest) return false;
      // One volume a layer, which share their voxels.
      this.overlays = BITS.map((bit) =>
        Object.assign(Object.create(Object.getPrototypeOf(codes)), codes, { id: `${codes.id}-${bit}`, bit, colormapLabel: coloursOf(bit) }),
      );
      this.nv.volumes = [this.back, ...this.overlays];
      this.nv.overlays = this.overlays;
      this.nv.refreshColormaps();
      this.setLayers(this.layers); // the image's texture is there already
      this.overlayUrl = overlay.url;
    }
    this.calls.onMove();
    return true;
  }

  async #load({ url, name }, options) {
    // NiiVue takes any answer for a volume, so what is no volume is found here.
    const answer = await this.calls.ask(url);
    return niivue.NVImage.loadFromUrl({ url: await answer.arrayBuffer(), name, ...options });
  }

  setLayers(layers) {
    this.layers = layers;
    if (!this.overlays.length) return;
    this.#fade();
    const shown = this.overlays.filter((volume) => volume.opacity);
    (shown.length ? shown : this.overlays.slice(0, 1)).forEach((volume, i) => this.nv.refreshLayers(volume, i + 1));
    this.nv.drawScene();
  }

  #fade() {
    for (const volume of this.overlays) {
      const { on, strength } = this.layers[volume.bit] ?? {};
      volume.opacity = on ? strength : 0;
    }
  }

  setPlane(name) {
    this.nv.opts.crosshairWidth = name === "all" ? 0.4 : 0; // in one plane it would only hide what it points to
    this.nv.setSliceType(PLANES[name]);
    this.calls.onMove();
  }

  get window() {
    return this.back ? [this.back.cal_min, this.back.cal_max] : [0, 1];
  }

  setWindow(low, high) {
    if (!this.back || !(high > low)) return;
    [this.back.cal_min, this.back.cal_max] = [low, high];
    this.nv.refreshLayers(this.back, 0);
    this.nv.drawScene();
  }

  autoWindow() {
    if (!this.back) return;
    this.setWindow(this.back.robust_min, this.back.robust_max);
    this.calls.onWindow();
  }

  // Which axis of the screen's voxels is the file's last, in which slices are counted, and whether it runs backwards.
  get #sliceAxis() {
    const axis = this.back.permRAS.findIndex((p) => Math.abs(p) === 3);
    return { axis, length: this.back.dimsRAS[axis + 1], flipped: this.back.permRAS[axis] < 0 };
  }

  get slice() {
    if (!this.back) return null;
    const { axis, length, flipped } = this.#sliceAxis;
    const at = Math.min(length - 1, Math.max(0, Math.floor(this.nv.scene.crosshairPos[axis] * length)));
    return { number: flipped ? length - 1 - at : at, count: length };
  }

  // Goes to a slice of the file, and shows it in its plane; `centre` are the file's other two indices.
  goTo(number, centre) {
    const position = [...this.nv.scene.crosshairPos];
    const at = [...(centre ?? [null, null]), number];
    this.back.permRAS.forEach((p, axis) => {
      const index = at[Math.abs(p) - 1];
      const length = this.back.dimsRAS[axis + 1];
      if (index !== null) position[axis] = ((p < 0 ? length - 1 - index : index) + 0.5) / length;
    });
    this.nv.scene.crosshairPos = position;
    this.nv.drawScene();
    this.calls.onMove();
    return ["sagittal", "coronal", "axial"][this.#sliceAxis.axis];
  }

  // One slice on in the plane that is shown; of several planes, in that of the file's slices.
  step(by) {
    if (!this.back) return;
    const axis = { 0: 2, 1: 1, 2: 0 }[this.nv.opts.sliceType] ?? this.#sliceAxis.axis;
    const moves = [0, 0, 0];
    moves[axis] = by;
    this.nv.moveCrosshairInVox(...moves);
    this.calls.onMove();
  }

  // The voxels of a drawing, from the file's order to the screen's, or back.
  #turned(voxels, toScreen) {
    const [, nx, ny, nz] = this.back.dimsRAS;
    const [sx, sy, sz] = this.back.img2RASstep;
    const start = this.back.img2RASstart.reduce((sum, value) => sum + value, 0);
    const out = new Uint8Array(voxels.length);
    let j = 0;
    for (let z = 0; z < nz; z++) {
      for (let y = 0; y < ny; y++) {
        let i = start + z * sz + y * sy;
        for (let x = 0; x < nx; x++, i += sx, j++) {
          if (toScreen) out[j] = voxels[i];
          else out[i] = voxels[j];
        }
      }
    }
    return out;
  }

  startDrawing(voxels) {
    const nv = this.nv;
    if (voxels.length !== this.back.nVox3D) throw new Error("The label does not have the image's shape.");
    nv.setDrawingEnabled(true);
    nv.createEmptyDrawing();
    nv.drawBitmap.set(this.#turned(voxels, true));
    nv.drawClearAllUndoBitmaps();
    nv.drawAddUndoBitmap();
    nv.refreshDrawing(true);
    this.strokes = 0;
    this.drawingUrl = this.overlayUrl;
  }

  get isDrawing() {
    return Boolean(this.nv?.opts.drawingEnabled);
  }

  drawn() {
    return this.#turned(this.nv.drawBitmap, false);
  }

  endDrawing() {
    if (!this.nv.drawBitmap) return;
    this.nv.setDrawingEnabled(false);
    this.nv.closeDrawing();
    this.nv.drawScene();
  }

  setPen(tool, structure, size) {
    this.nv.opts.penSize = size;
    this.nv.setPenValue(tool === "eraser" ? 0 : structure, tool === "fill");
  }

  setFade(strength) {
    this.nv.setDrawOpacity(strength);
  }

  undoStroke() {
    if (!this.strokes) return false;
    this.strokes -= 1;
    this.nv.drawUndo();
    return true;
  }
}
