import torch

from coresplit.models.inputs import structured_images


def test_inputs_are_float32_images_of_about_unit_variance() -> None:
    images = structured_images(32, 100, seed=0)
    assert images.shape == (32, 3, 100, 100)
    assert images.dtype == torch.float32
    assert abs(float(images.mean())) < 0.2
    assert 0.5 < float(images.std()) < 1.5
    assert float(images.abs().max()) < 20


def test_the_same_seed_gives_the_same_inputs_and_another_seed_others() -> None:
    assert torch.equal(structured_images(3, 75, seed=4), structured_images(3, 75, seed=4))
    assert not torch.equal(structured_images(3, 75, seed=4), structured_images(3, 75, seed=5))


def test_the_first_inputs_do_not_depend_on_the_batch() -> None:
    assert torch.equal(structured_images(40, 75, seed=0)[:3], structured_images(3, 75, seed=0))


def test_a_large_batch_holds_no_input_twice() -> None:
    images = structured_images(1024, 75, seed=0)
    assert len(torch.unique(images[:, :, ::16, ::16].flatten(1), dim=0)) == 1024


def test_no_input_is_flat_and_neighbouring_pixels_are_alike() -> None:
    images = structured_images(64, 224, seed=0)
    deviations = images.flatten(2).std(dim=2).amax(dim=1)
    assert float(deviations.min()) > 0.1
    steps = (images[..., 1:] - images[..., :-1]).square().mean()
    assert float(steps) < 0.25 * float(images.var())
