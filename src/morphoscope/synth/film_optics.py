"""How a film looks under a microscope: interference colours in bright field, scattered light in dark field, and the camera."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from morphoscope.synth.film_scene import FilmScene
from morphoscope.synth.texture import grain

Float = NDArray[np.float32]
BANDS_NM = ((580, 600, 620, 640, 660), (510, 525, 540, 555, 570), (440, 455, 470, 485, 500))  # red, green, blue
FILMS = {  # refractive index and absorption of red, green, blue
    "organic": ((1.72, 1.76, 1.84), (0.0, 0.005, 0.03)),
    "perovskite": ((2.25, 2.35, 2.45), (0.04, 0.22, 0.55)),
}
SUBSTRATES = {"glass": (1.52, 1.52, 1.53), "silicon": (3.9, 4.1, 4.6)}
HAZES = {"organic": (0.75, 0.95, 1.25), "perovskite": (1.3, 0.95, 0.7)}  # colour of what the film scatters
STEP_NM, THICKEST_NM = 2.0, 4000.0
GROUND = {"glass": 0.3, "silicon": 0.22}  # what the bare ground scatters, in hazes of the film
EDGE_LIGHT = 1.5  # what an edge of the film scatters: its slope times this
HALO = 0.08  # share of the light of bright specks that spreads around them
BRIGHT_LEVEL = 0.55  # of film and ground together
BEHIND = {"glass": 0.04, "silicon": 0.0}  # share of the light that the back of the substrate sends
STRAY = 0.01  # and what the microscope itself does


class Layers(NamedTuple):
    """What light meets, each (h, w): thickness in nm, and cover and brightness of cracks, scratches and particles."""

    thickness_nm: Float
    crack: Float
    scratch: Float
    scratch_light: Float
    particle: Float
    particle_light: Float


def photograph(rng: np.random.Generator, scene: FilmScene, layers: Layers) -> NDArray[np.uint8]:
    """The picture (h, w, 3), RGB, as the camera stores it."""
    light = _dark(rng, scene, layers) if scene.field == "dark" else _bright(rng, scene, layers)
    return _camera(np.random.default_rng((scene.seed, scene.shot, 9)), scene, light)


def reflectance(thickness_nm: Float, film: str, substrate: str) -> Float:
    """Share of the light (..., 3) that a film on a substrate sends back at normal incidence.

    Airy's sum of the beams in one absorbing layer (Born and Wolf, Principles of Optics, 7th ed., eq. 1.6.60), mean over five
    wavelengths of each colour; with what the back of a glass substrate and the microscope itself send.
    """
    table = _table(film, substrate)
    at = thickness_nm / np.float32(STEP_NM)
    return np.stack([np.interp(at, np.arange(len(table)), table[:, band]) for band in range(3)], -1).astype(np.float32)


@lru_cache(maxsize=8)
def _table(film: str, substrate: str) -> NDArray[np.float64]:
    h = np.arange(0, THICKEST_NM + STEP_NM, STEP_NM)[:, None]
    indices, absorptions = FILMS[film]
    columns = []
    for band, wavelengths in enumerate(BANDS_NM):
        n, ground = indices[band] - 1j * absorptions[band], SUBSTRATES[substrate][band]
        upper, lower = (1 - n) / (1 + n), (n - ground) / (n + ground)
        phase = np.exp(-4j * np.pi * n * h / np.array(wavelengths))
        sent = (np.abs((upper + lower * phase) / (1 + upper * lower * phase)) ** 2).mean(1)
        columns.append(sent + BEHIND[substrate] + STRAY)
    return np.stack(columns, 1)


def slope(thickness: Float) -> Float:
    """How steep (h, w) a film is: the length of its gradient per px, after a blur that makes steps finite."""
    soft = cv2.GaussianBlur(thickness, (0, 0), 0.8)
    return np.asarray(np.hypot(cv2.Sobel(soft, cv2.CV_32F, 1, 0) / 8, cv2.Sobel(soft, cv2.CV_32F, 0, 1) / 8), np.float32)


def _dark(rng: np.random.Generator, scene: FilmScene, layers: Layers) -> Float:
    """Haze of film and ground, bright edges, cracks, scratches and specks; the haze takes colour from interference."""
    relative = layers.thickness_nm / np.float32(scene.thickness_nm)
    colours = reflectance(layers.thickness_nm, scene.film, scene.substrate)
    flat = reflectance(np.array([scene.thickness_nm], np.float32), scene.film, scene.substrate)[0]
    tinted = np.clip(1 + 0.8 * (colours / np.maximum(flat, 0.01) - 1) * 0.5, 0.35, 2.0)
    presence = np.clip(relative * 3, 0, 1)[..., None]
    rough = np.clip(1 + scene.grain * grain(rng, scene.shape, scale_px=1.1, elongation=1.0, angle_deg=0.0), 0.3, 3)[..., None]
    haze = np.array(HAZES[scene.film], np.float32) * np.float32(scene.haze)
    ground = np.float32(scene.haze * GROUND[scene.substrate])
    light = presence * haze * tinted * rough * np.clip(relative, 0.6, 1.6)[..., None] + (1 - presence) * ground
    steep = np.minimum(slope(np.minimum(relative, 1.6)), 0.4)
    uneven = np.clip(1 + 0.45 * grain(rng, scene.shape, scale_px=2.5, elongation=1.0, angle_deg=0.0), 0.2, 2.5)
    warm = np.array([1.05, 1.0, 0.92], np.float32)
    light = light + (EDGE_LIGHT * steep * uneven)[..., None] * warm
    light = light + (0.55 * layers.crack * uneven)[..., None] * warm
    light = light + (0.6 * layers.scratch_light * uneven)[..., None]
    specks = layers.particle_light
    halo = cv2.GaussianBlur(specks, (0, 0), 3 + scene.px(scene.particle_um) * 0.8)
    wide = cv2.GaussianBlur(specks, (0, 0), 12 + scene.px(scene.particle_um))
    return np.asarray(light + (1.1 * specks + HALO * 6 * halo + HALO * 4 * wide)[..., None], np.float32)


def _bright(rng: np.random.Generator, scene: FilmScene, layers: Layers) -> Float:
    """Interference colours; steep edges, cracks, scratches and specks send light past the objective and are dark."""
    light = reflectance(layers.thickness_nm, scene.film, scene.substrate)
    flat = reflectance(np.array([scene.thickness_nm], np.float32), scene.film, scene.substrate)[0]
    ground = reflectance(np.zeros(1, np.float32), scene.film, scene.substrate)[0]
    light = light * np.float32(BRIGHT_LEVEL / max(0.6 * float(flat.mean()) + 0.4 * float(ground.mean()), 0.02))
    rough = np.clip(1 + 0.35 * scene.grain * grain(rng, scene.shape, scale_px=1.1, elongation=1.0, angle_deg=0.0), 0.5, 1.5)
    relative = layers.thickness_nm / np.float32(scene.thickness_nm)
    lost = np.exp(-2.2 * np.minimum(slope(np.minimum(relative, 2.0)), 0.5))
    lost *= 1 - 0.45 * np.minimum(layers.crack, 1)
    sign = 1.0 if np.random.default_rng((scene.seed, 5)).random() < 0.3 else -1.0
    lost *= np.clip(1 + sign * 0.5 * np.minimum(layers.scratch_light, 1.2), 0.15, 1.7)
    dark = layers.particle * np.clip(0.45 + 0.25 * layers.particle_light, 0, 0.95)
    centre = np.maximum(cv2.erode(layers.particle, np.ones((3, 3), np.uint8)) - 0.6, 0) * (layers.particle_light > 1.5)
    ring = cv2.GaussianBlur(layers.particle, (0, 0), 2.2) * (1 - layers.particle)
    factor = lost * rough * (1 - dark) * (1 + 0.15 * ring)
    return np.asarray(light * factor[..., None] + 0.9 * centre[..., None], np.float32)


def _camera(rng: np.random.Generator, scene: FilmScene, light: Float) -> NDArray[np.uint8]:
    """Blur of objective and defocus, uneven light, exposure, white balance, photon and read noise, 8 bits."""
    light = np.asarray(cv2.GaussianBlur(light, (0, 0), float(np.hypot(0.6, scene.defocus_px))), np.float32)
    height, width = scene.shape
    place = np.random.default_rng((scene.seed, 8))
    centre = place.normal(0, 0.12, 2)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    fall = 1 - scene.vignetting * ((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / 2
    gains = np.array([scene.balance[0], 1.0, scene.balance[1]], np.float32) * np.float32(scene.exposure)
    light = np.maximum(light * fall[..., None].astype(np.float32) * gains, 0)
    noise = rng.standard_normal(light.shape, dtype=np.float32)
    light = light + np.float32(scene.noise) * np.sqrt(0.3 + light) * noise
    return np.asarray(np.clip(np.rint(light * 255), 0, 255), np.uint8)
