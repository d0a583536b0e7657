"""Grids: where voxels lie in the world."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrilib.images.grid import Grid, Image

numbers = st.floats(-500, 500, allow_nan=False)
steps = st.floats(0.1, 10)


@st.composite
def grids(draw, dimensions=(2, 3)):
    n = draw(st.sampled_from(dimensions))
    rotation, _ = np.linalg.qr(np.random.default_rng(draw(st.integers(0, 999))).normal(size=(n, n)))
    return Grid.of(draw(st.lists(st.integers(1, 40), min_size=n, max_size=n)),
                   tuple(draw(st.lists(steps, min_size=n, max_size=n))),
                   tuple(draw(st.lists(numbers, min_size=n, max_size=n))), rotation)


@settings(max_examples=60, deadline=None)
@given(grids(), st.data())
def test_index_and_world_invert_each_other(grid, data):
    index = np.array(data.draw(st.lists(numbers, min_size=grid.dimension, max_size=grid.dimension)))
    assert np.allclose(grid.to_index(grid.to_world(index)), index, atol=1e-6)
    assert np.allclose(grid.to_world(np.zeros(grid.dimension)), grid.origin)


@settings(max_examples=60, deadline=None)
@given(grids())
def test_a_grid_survives_its_record(grid):
    assert Grid.from_dict(grid.as_dict()) == grid
    assert grid.same_as(Grid.from_dict(grid.as_dict()), 0)


@settings(max_examples=60, deadline=None)
@given(grids(), st.data())
def test_a_moved_grid_starts_where_it_was_told(grid, data):
    start = data.draw(st.lists(st.integers(-20, 20), min_size=grid.dimension, max_size=grid.dimension))
    moved = grid.moved(start, grid.size)
    assert np.allclose(moved.origin, grid.to_world(start))
    assert np.allclose(moved.to_world([3] * grid.dimension), grid.to_world(np.add(start, 3)), atol=1e-6)
    assert grid.same_as(moved) == (not any(start))


@settings(max_examples=30, deadline=None)
@given(grids(dimensions=(3,)))
def test_world_positions_are_those_of_itk(grid):
    from mrilib.images.io.itk import from_itk, to_itk

    picture = to_itk(Image(np.zeros(grid.size, np.uint8), grid))
    index = [s // 2 for s in grid.size]
    theirs = picture.TransformIndexToPhysicalPoint([int(i) for i in reversed(index)])
    assert np.allclose(theirs[::-1], grid.to_world(index), atol=1e-6)
    if grid.size[0] > 1:
        assert from_itk(picture).grid.same_as(grid, 1e-6)


def test_an_array_must_lie_on_its_grid():
    with pytest.raises(ValueError, match="does not lie"):
        Image(np.zeros((3, 4)), Grid.of((4, 3)))
    assert Image(np.zeros((3, 4, 2)), Grid.of((3, 4))).has_channels
