"""Writes networks.tar.xz: small networks of Keras and scikit-learn with random or trained weights.

pip install tensorflow-cpu==2.21.0 tf2onnx==1.17.0 skl2onnx==1.20.0 scikit-learn==1.9.1
python tests/data/exporters/make.py
"""

import io
import tarfile
import warnings
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import tf2onnx
from keras import layers
from skl2onnx import to_onnx
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

OPSETS = (13, 18)


def perceptron():
    x = keras.Input((16,))
    y = layers.Dense(24, activation="relu")(x)
    y = layers.Dense(24, activation="tanh")(y)
    return keras.Model(x, layers.Dense(5, activation="softmax")(y))


def convolutional():
    x = keras.Input((17, 17, 3))
    y = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    y = layers.ReLU()(layers.BatchNormalization()(y))
    y = layers.MaxPool2D(3, 2, padding="same")(y)
    y = layers.Conv2D(8, 3, activation="elu")(y)
    y = layers.Dropout(0.5)(layers.GlobalAveragePooling2D()(y))
    return keras.Model(x, layers.Dense(5)(y))


def mobile():
    x = keras.Input((16, 16, 3))
    y = layers.BatchNormalization()(layers.Conv2D(8, 3, strides=2, padding="same")(x))
    y = layers.ReLU(6.0)(y)
    z = layers.ReLU(6.0)(layers.DepthwiseConv2D(3, padding="same")(y))
    y = layers.Add()([y, layers.Conv2D(8, 1)(z)])
    z = layers.Dense(4, activation="swish")(layers.GlobalAveragePooling2D(keepdims=True)(y))
    y = layers.Multiply()([y, layers.Dense(8, activation="sigmoid")(z)])
    y = layers.GlobalAveragePooling2D()(layers.Activation("hard_silu")(y))
    return keras.Model(x, layers.Dense(5)(y))


def transformer():
    x = keras.Input((6, 12))
    y = layers.Add()([x, layers.MultiHeadAttention(2, 6)(x, x)])
    y = layers.LayerNormalization()(y)
    z = layers.Dense(24, activation=lambda v: tf.nn.gelu(v, approximate=True))(y)
    y = layers.LayerNormalization()(layers.Add()([y, layers.Dense(12)(z)]))
    return keras.Model(x, layers.Dense(5)(layers.GlobalAveragePooling1D()(y)))


def segmentation():
    x = keras.Input((16, 16, 3))
    y = layers.Conv2D(6, 3, padding="same", activation="leaky_relu")(x)
    z = layers.Conv2D(8, 3, padding="same", activation="softplus")(layers.AveragePooling2D(2)(y))
    y = layers.Concatenate()([y, layers.UpSampling2D(2, interpolation="bilinear")(z)])
    y = layers.Conv2DTranspose(6, 3, strides=2, padding="same", activation="relu")(y)
    return keras.Model(x, layers.Conv2D(2, 1, activation="sigmoid")(y))


def embedding():
    x = keras.Input((6,), dtype="int32")
    y = layers.Embedding(20, 8)(x)
    y = layers.Conv1D(8, 3, padding="same", activation="relu")(y)
    return keras.Model(x, layers.Dense(5)(layers.GlobalMaxPooling1D()(y)))


def recurrent():
    x = keras.Input((6, 12))
    return keras.Model(x, layers.Dense(5)(layers.LSTM(8)(x)))


def of_keras(model, opset):
    """As tf2onnx writes it; statistics of batch normalisation as if trained."""
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    (entry,) = model.inputs
    signature = [tf.TensorSpec((None, *entry.shape[1:]), entry.dtype, name="x")]
    function = tf.function(lambda x: model(x, training=False), input_signature=signature)
    return tf2onnx.convert.from_function(function, input_signature=signature, opset=opset)[0]


def of_scikit_learn():
    """Scaling, a projection and a perceptron, on digits."""
    pixels, labels = load_digits(return_X_y=True)
    pixels = pixels.astype(np.float32)
    network = MLPClassifier((16,), activation="logistic", max_iter=30, random_state=0)
    pipeline = make_pipeline(StandardScaler(), PCA(16, random_state=0), network)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline.fit(pixels, labels)
    return to_onnx(pipeline, pixels[:1], options={"zipmap": False}, target_opset=18)


NETWORKS = (perceptron, convolutional, mobile, transformer, segmentation, embedding, recurrent)


def main():
    keras.utils.set_random_seed(0)
    models = {"pipeline-18": of_scikit_learn()}
    for make in NETWORKS:
        network = make()
        models |= {f"{make.__name__}-{opset}": of_keras(network, opset) for opset in OPSETS}
    with tarfile.open(Path(__file__).with_name("networks.tar.xz"), "w:xz") as tar:
        for name, model in models.items():
            member = tarfile.TarInfo(f"{name}.onnx")
            content = model.SerializeToString()
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


if __name__ == "__main__":
    main()
